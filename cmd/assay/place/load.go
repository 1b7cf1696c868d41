package place

import (
	"os"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/sbom"
	"github.com/spf13/cobra"
)

// Flags holds the flags by which a configuration is found.
type Flags struct{ File, Data, Listen string }

// WithFlags gives a command the flag --config.
func WithFlags(a *cli.App, c *cobra.Command, p *Flags) *cobra.Command {
	c.Flags().StringVar(&p.File, "config", "", "configuration file (ASSAY_CONFIG); without one the defaults count")
	_ = c.MarkFlagFilename("config", "yaml", "yml")
	return c
}

// Load reads the configuration that the flags and the environment name. The file system is the one place that it reaches.
func Load(a *cli.App, p Flags) (*config.Config, error) {
	o := config.Options{Path: p.File, Data: p.Data, Listen: p.Listen, Dir: a.Dir, ReadFile: os.ReadFile, Stat: os.Stat, Check: Usable(a.Clock)}
	if o.Path == "" {
		o.Path = a.Env("ASSAY_CONFIG")
	}
	if o.Data == "" {
		o.Data = a.Env("ASSAY_DATA")
	}
	if o.Listen == "" {
		o.Listen = a.Env("ASSAY_LISTEN")
	}
	return config.Load(o)
}

// Formats are the documents that are made of each image.
func Formats(cfg *config.Config) []sbom.Format {
	list := make([]sbom.Format, len(cfg.SBOM.Formats))
	for i, f := range cfg.SBOM.Formats {
		list[i] = sbom.Format(f)
	}
	return list
}
