package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/bundle"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/store"
)

// Supplies are what policies are made of that the configuration only refers to.
type Supplies struct {
	Tuf     Published                       // nil: nothing is known
	Sources map[string]*policy.PolicySource // by reference
}

// Compile makes policies ready to decide.
func Compile(ctx context.Context, bs []policy.Binding, from Supplies, o engine.Options) (*engine.Set, error) {
	list, err := Resolve(bs, from)
	if err != nil {
		return nil, err
	}
	return engine.Compile(ctx, list, o)
}

// CompileAlone makes the policies of a configuration ready without a registry: what its artifacts and TUF repositories say is not known.
func CompileAlone(ctx context.Context, cfg *config.Config, o engine.Options) (*engine.Set, error) {
	bs, from, err := Alone(cfg)
	if err != nil {
		return nil, err
	}
	return Compile(ctx, bs, from, o)
}

// Alone are the policies of a configuration, with the bundles that it names.
func Alone(cfg *config.Config) ([]policy.Binding, Supplies, error) {
	bs, err := Configured(cfg)
	from := Supplies{Sources: map[string]*policy.PolicySource{}}
	for _, p := range cfg.Policies {
		if err == nil && p.ComesAsBundle() {
			ref := BundlePrefix + p.Rego
			from.Sources[ref], err = ReadBundle(ref, p.BundleKey)
		}
	}
	return bs, from, err
}

// BundlePrefix is how a binding refers to a bundle: what follows is its path.
const BundlePrefix = "bundle:"

// Configured are the policies of a configuration, with the text of those in files.
func Configured(cfg *config.Config) ([]policy.Binding, error) {
	list := make([]policy.Binding, len(cfg.Policies))
	for i, p := range cfg.Policies {
		b := policy.Binding{
			Name: p.Name, Repositories: config.Globs(p.Repositories), Mode: contract.Mode(p.Mode), Params: p.Params,
			EvidenceFirst: p.Evidence == "first", AllChildren: p.Index == "all-children", TagsStrict: p.Tags == "strict",
		}
		var err error
		switch {
		case p.ComesAsBundle():
			b.Rego = BundlePrefix + p.Rego
		case Referred(p.Rego):
			b.Rego = p.Rego
		default:
			b.Source, err = Sources(p.Rego, ".rego")
		}
		if err != nil {
			return nil, fmt.Errorf("the policy %q: %w", p.Name, err)
		}
		list[i] = b
	}
	return list, nil
}

// Referred reports whether rules are looked up when policies are compiled.
func Referred(rego string) bool {
	return strings.HasPrefix(rego, config.Builtin) || strings.HasPrefix(rego, config.FromTUF) || strings.HasPrefix(rego, config.FromOCI) || strings.HasPrefix(rego, BundlePrefix)
}

// Kept reports whether what a reference names may change by itself, and is kept when it was accepted.
func Kept(rego string) bool {
	return strings.HasPrefix(rego, config.FromOCI) || strings.HasPrefix(rego, BundlePrefix)
}

// Resolve looks up what bindings refer to.
func Resolve(bs []policy.Binding, from Supplies) ([]engine.Policy, error) {
	list := make([]engine.Policy, len(bs))
	for i, b := range bs {
		p := &list[i]
		*p = engine.Policy{Name: b.Name, Repositories: b.Repositories, Mode: b.Mode, Source: b.Source, Params: b.Params,
			EvidenceFirst: b.EvidenceFirst, AllChildren: b.AllChildren, TagsStrict: b.TagsStrict}
		var err error
		authority, tuf := strings.CutPrefix(b.Rego, config.FromTUF)
		switch {
		case b.Rego == "":
		case tuf:
			err = fromTUF(p, authority, from.Tuf)
		case Kept(b.Rego):
			if s := from.Sources[b.Rego]; s != nil {
				err = Fill(p, s.Files, b.Rego)
			} else {
				p.Source, p.Params = absentSource(b.Rego), nil
			}
		default:
			p.Source, err = engine.BuiltinSource(b.Rego)
		}
		if err != nil {
			return nil, fmt.Errorf("the policy %q: %w", b.Name, err)
		}
	}
	return list, nil
}

// Fill takes the modules among files, and the parameters of data.json, over which those of the binding win.
func Fill(p *engine.Policy, files map[string]string, whence string) error {
	p.Source = map[string]string{}
	for name, text := range files {
		if strings.HasSuffix(name, ".rego") {
			p.Source[name] = text
		}
	}
	data, ok := files[bundle.DataFile]
	if !ok {
		return nil
	}
	if err := store.StrictJSON([]byte(data)); err != nil {
		return fmt.Errorf("%s of %s: %w", bundle.DataFile, whence, err)
	}
	var params map[string]map[string]any
	if err := json.Unmarshal([]byte(data), &params); err != nil {
		return fmt.Errorf("%s of %s is no object of parameters by policy name: %w", bundle.DataFile, whence, err)
	}
	merged := maps.Clone(params[p.Name])
	if merged == nil {
		merged = map[string]any{}
	}
	maps.Copy(merged, p.Params)
	p.Params = merged
	return nil
}

// absentSource refuses everything: what the policies would allow is not known.
func absentSource(ref string) map[string]string {
	return refusing("policies.absent", fmt.Sprintf("The policies of %s were never accepted.", ref), "an administrator looks at: assay policy status")
}

// refusing is a policy that denies for one reason.
func refusing(code, msg, remedy string) map[string]string {
	refusal := fmt.Sprintf("contains {\"code\": %q, \"msg\": %q, \"remedy\": %q}", code, msg, remedy)
	return map[string]string{"absent.rego": fmt.Sprintf("package assay\n\npush.deny %[1]s\n\nadmit.deny %[1]s\n\ntag.deny %[1]s\n\nk8s.deny %[1]s\n", refusal)}
}

// The limits of a policy's directory.
const (
	MaxPolicyFiles = 256
	MaxPolicyFile  = 4 << 20
)

// Modules reads a shipped policy, a file, or every .rego file of a directory, by its name below that.
func Modules(where string) (map[string]string, error) {
	if strings.HasPrefix(where, config.Builtin) {
		return engine.BuiltinSource(where)
	}
	return Sources(where, ".rego")
}

// Sources reads a file, or the files with one of the extensions below a directory.
func Sources(where string, extensions ...string) (map[string]string, error) {
	info, err := os.Stat(where)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	if !info.IsDir() {
		text, err := ReadBounded(where)
		files[filepath.Base(where)] = text
		return files, err
	}
	err = filepath.WalkDir(where, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		switch {
		case path != where && strings.HasPrefix(name, "."): // editors, version control, Kubernetes' ..data
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case entry.IsDir() || !hasExtension(name, extensions):
			return nil
		case len(files) == MaxPolicyFiles:
			return fmt.Errorf("%s holds more than %d files", where, MaxPolicyFiles)
		}
		text, err := ReadBounded(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(where, path)
		files[filepath.ToSlash(relative)] = text
		return err
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s holds no file %s", where, strings.Join(extensions, " or "))
	}
	return files, err
}

func hasExtension(name string, extensions []string) bool {
	for _, e := range extensions {
		if strings.HasSuffix(name, e) {
			return true
		}
	}
	return false
}

// ReadBounded reads a file of at most the size that a policy may have.
func ReadBounded(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxPolicyFile+1))
	if err == nil && len(text) > MaxPolicyFile {
		err = errors.New(path + " is too large for a policy")
	}
	return string(text), err
}
