package config

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/settings"
	"github.com/assay-registry/assay/verify"
)

// Options say what to load. Data and Listen come from the command line and win over the file; Data is then relative to Dir.
type Options struct {
	Path   string // the file; empty for none
	Data   string
	Listen string
	Dir    string // the working directory, absolute
	// ReadFile reads a file that the configuration names, and the configuration itself; Stat describes one.
	ReadFile func(path string) ([]byte, error)
	Stat     func(path string) (fs.FileInfo, error)
	// Check reports whether the material of an authority can be used: verify.Verifier's. nil checks the form alone.
	Check func(verify.Authority) error
}

// Schema is the JSON Schema (2020-12) of the file, for editors.
func Schema() ([]byte, error) { return settings.Schema(*Default(), "Assay configuration") }

// Load reads and checks the configuration. The error is an *[Error] with every problem, or says why the file cannot be read.
func Load(o Options) (*Config, error) {
	c := Default()
	b := settings.NewBinder()
	base := o.Dir
	if o.Path != "" {
		path := absolute(o.Path, o.Dir)
		text, err := o.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("the configuration cannot be read: %w", err)
		}
		c.path, base = path, filepath.Dir(path)
		b.Document(text, c)
	}
	c.Data = absolute(c.Data, base)
	if o.Data != "" {
		c.Data = absolute(o.Data, o.Dir)
	}
	if o.Listen != "" {
		c.Listen = o.Listen
	}
	c.absolutePaths(base)
	v := &validator{Binder: b, c: c, o: o}
	v.run()
	if len(b.Problems) > 0 {
		return nil, &settings.Error{File: o.Path, Problems: settings.SortProblems(b.Problems)}
	}
	c.warnings, c.advice = v.warnings, settings.SortProblems(v.advice)
	return c, nil
}

// absolutePaths resolves every path of the file against its directory.
func (c *Config) absolutePaths(base string) {
	for _, p := range c.paths() {
		*p = absolute(*p, base)
	}
	for i := range c.Authorities {
		a := &c.Authorities[i]
		if scheme, path, ok := strings.Cut(a.Source, ":"); ok && (scheme == "dir" || scheme == "tar") {
			a.Source = scheme + ":" + absolute(path, base)
		}
	}
}

// paths are where the paths of files and directories stand that are taken as they are. Sources of TUF repositories prove what they are.
func (c *Config) paths() []*string {
	all := []*string{&c.TLS.Cert, &c.TLS.Key, &c.Auth.HTPasswd, &c.SBOM.Worker, &c.Kubernetes.ClientCA}
	for i := range c.Authorities {
		a := &c.Authorities[i]
		all = append(all, &a.Key, &a.TrustedRoot, &a.Roots, &a.Certificates, &a.TimestampRoots, &a.CRLs, &a.Root)
		for j := range a.Keys {
			all = append(all, &a.Keys[j].File)
		}
	}
	for i := range c.Policies {
		p := &c.Policies[i]
		if !strings.HasPrefix(p.Rego, Builtin) && !strings.HasPrefix(p.Rego, FromTUF) && !strings.HasPrefix(p.Rego, FromOCI) {
			all = append(all, &p.Rego)
		}
		if p.BundleKey != Unsigned {
			all = append(all, &p.BundleKey)
		}
	}
	return all
}

// Files are the files and directories that the configuration consists of, itself included, each once: whoever can write one of them decides what is served, and to whom.
func (c *Config) Files() []string {
	all := []string{c.path}
	for _, p := range c.paths() {
		all = append(all, *p)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(path string) bool { return path == "" })
}

// What a policy's rego begins with where it is no path.
const (
	Builtin = "builtin:" // the name of a shipped policy
	FromTUF = "tuf:"     // the name of the authority of kind tuf that publishes it
	FromOCI = "oci:"     // REPOSITORY:TAG of this registry
)

// Unsigned is the bundle_key of a bundle that is taken without a signature.
const Unsigned = "unsigned"

func absolute(path, base string) string {
	if path == "" || filepath.IsAbs(path) || base == "" {
		return path
	}
	return filepath.Join(base, path)
}
