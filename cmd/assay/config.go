package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/spf13/cobra"
)

// place holds the flags by which a configuration is found.
type place struct{ file, data, listen string }

// withConfig gives a command the flag --config.
func (a *app) withConfig(c *cobra.Command, p *place) *cobra.Command {
	c.Flags().StringVar(&p.file, "config", "", "configuration file (ASSAY_CONFIG); without one the defaults count")
	_ = c.MarkFlagFilename("config", "yaml", "yml")
	return c
}

// load reads the configuration that the flags and the environment name. The file system is the one place that it reaches.
func (a *app) load(p place) (*config.Config, error) {
	o := config.Options{Path: p.file, Data: p.data, Listen: p.listen, Dir: a.dir, ReadFile: os.ReadFile, Stat: os.Stat, Check: a.usable}
	if o.Path == "" {
		o.Path = a.env("ASSAY_CONFIG")
	}
	if o.Data == "" {
		o.Data = a.env("ASSAY_DATA")
	}
	if o.Listen == "" {
		o.Listen = a.env("ASSAY_LISTEN")
	}
	return config.Load(o)
}

func (a *app) config() *cobra.Command {
	c := group(&cobra.Command{Use: "config", Short: "Check and show the configuration"})
	c.AddCommand(a.configCheck(), a.configShow(), &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of the configuration, for editors", Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			schema, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s\n", schema)
			return err
		},
	})
	return c
}

// checked is the answer of config check as JSON.
type checked struct {
	OK       bool             `json:"ok"`
	Problems []config.Problem `json:"problems"`
	Warnings []config.Problem `json:"warnings"`
	Advice   []config.Problem `json:"advice"`
}

func (a *app) configCheck() *cobra.Command {
	var p place
	c := &cobra.Command{
		Use: "check", Short: "Report everything that is wrong with the configuration", Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.load(p)
			report := checked{OK: err == nil, Problems: []config.Problem{}, Warnings: []config.Problem{}, Advice: []config.Problem{}}
			var wrong *config.Error
			switch {
			case err == nil:
				if _, err := a.compileAlone(c.Context(), cfg); err != nil {
					return err
				}
				report.Warnings, report.Advice = append(report.Warnings, cfg.Warnings()...), append(report.Advice, cfg.Advice()...)
			case errors.As(err, &wrong):
				report.Problems = wrong.Problems
			default:
				return err
			}
			if a.output == "json" {
				if err := a.printValue(report, nil); err != nil {
					return err
				}
				if !report.OK {
					return &failure{code: exitError}
				}
				return nil
			}
			if err != nil {
				return err
			}
			for _, w := range append(report.Warnings, report.Advice...) {
				if err := a.say("%s", printable(w.In(p.file))); err != nil {
					return err
				}
			}
			return a.say("the configuration is right")
		},
	}
	return a.withConfig(a.withOutput(c), &p)
}

func (a *app) configShow() *cobra.Command {
	var p place
	c := &cobra.Command{
		Use: "show", Short: "Print the configuration with all defaults filled in", Args: exactly(),
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.load(p)
			if err != nil {
				return err
			}
			if a.output == "json" {
				text, err := cfg.JSON()
				if err != nil {
					return err
				}
				return writeJSON(a.stdout, json.RawMessage(text))
			}
			text, err := cfg.YAML()
			if err != nil {
				return err
			}
			return a.say("%s", strings.TrimRight(string(text), "\n"))
		},
	}
	c.Flags().StringVar(&p.data, "data", "", "directory of everything that is stored (ASSAY_DATA)")
	c.Flags().StringVar(&p.listen, "listen", "", "HOST:PORT to listen on (ASSAY_LISTEN)")
	return a.withConfig(a.withOutput(c), &p)
}
