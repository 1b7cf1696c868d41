package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/store"
)

// supplies are what policies are made of that the configuration only refers to.
type supplies struct {
	tuf     published                       // nil: nothing is known
	sources map[string]*policy.PolicySource // by reference
}

// compile makes policies ready to decide. log may be nil.
func compile(a *cli.App, ctx context.Context, bs []policy.Binding, from supplies, log *slog.Logger) (*engine.Set, error) {
	list, err := resolve(bs, from)
	if err != nil {
		return nil, err
	}
	return engine.Compile(ctx, list, engine.Options{Log: log})
}

// compileAlone makes the policies of a configuration ready without a registry: what its artifacts and TUF repositories say is not known.
func compileAlone(a *cli.App, ctx context.Context, cfg *config.Config) (*engine.Set, error) {
	bs, from, err := alone(cfg)
	if err != nil {
		return nil, err
	}
	return compile(a, ctx, bs, from, nil)
}

func alone(cfg *config.Config) ([]policy.Binding, supplies, error) {
	bs, err := configured(cfg)
	from := supplies{sources: map[string]*policy.PolicySource{}}
	for _, p := range cfg.Policies {
		if err == nil && p.ComesAsBundle() {
			ref := refBundle + p.Rego
			from.sources[ref], err = readBundle(ref, p.BundleKey)
		}
	}
	return bs, from, err
}

// refBundle is how a binding refers to a bundle: what follows is its path.
const refBundle = "bundle:"

// configured are the policies of a configuration, with the text of those in files.
func configured(cfg *config.Config) ([]policy.Binding, error) {
	list := make([]policy.Binding, len(cfg.Policies))
	for i, p := range cfg.Policies {
		b := policy.Binding{
			Name: p.Name, Repositories: config.Globs(p.Repositories), Mode: contract.Mode(p.Mode), Params: p.Params,
			EvidenceFirst: p.Evidence == "first", AllChildren: p.Index == "all-children", TagsStrict: p.Tags == "strict",
		}
		var err error
		switch {
		case p.ComesAsBundle():
			b.Rego = refBundle + p.Rego
		case referred(p.Rego):
			b.Rego = p.Rego
		default:
			b.Source, err = sources(p.Rego, ".rego")
		}
		if err != nil {
			return nil, fmt.Errorf("the policy %q: %w", p.Name, err)
		}
		list[i] = b
	}
	return list, nil
}

// referred reports whether rules are looked up when policies are compiled.
func referred(rego string) bool {
	return strings.HasPrefix(rego, config.Builtin) || strings.HasPrefix(rego, config.FromTUF) || strings.HasPrefix(rego, config.FromOCI) || strings.HasPrefix(rego, refBundle)
}

// kept reports whether what a reference names may change by itself, and is kept when it was accepted.
func kept(rego string) bool {
	return strings.HasPrefix(rego, config.FromOCI) || strings.HasPrefix(rego, refBundle)
}

// resolve looks up what bindings refer to.
func resolve(bs []policy.Binding, from supplies) ([]engine.Policy, error) {
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
			err = fromTUF(p, authority, from.tuf)
		case kept(b.Rego):
			if s := from.sources[b.Rego]; s != nil {
				err = fill(p, s.Files, b.Rego)
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

// fill takes the modules among files, and the parameters of data.json, over which those of the binding win.
func fill(p *engine.Policy, files map[string]string, whence string) error {
	p.Source = map[string]string{}
	for name, text := range files {
		if strings.HasSuffix(name, ".rego") {
			p.Source[name] = text
		}
	}
	data, ok := files[engine.DataFile]
	if !ok {
		return nil
	}
	if err := store.StrictJSON([]byte(data)); err != nil {
		return fmt.Errorf("%s of %s: %w", engine.DataFile, whence, err)
	}
	var params map[string]map[string]any
	if err := json.Unmarshal([]byte(data), &params); err != nil {
		return fmt.Errorf("%s of %s is no object of parameters by policy name: %w", engine.DataFile, whence, err)
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
	maxPolicyFiles = 256
	maxPolicyFile  = 4 << 20
)

// modules reads a shipped policy, a file, or every .rego file of a directory, by its name below that.
func modules(where string) (map[string]string, error) {
	if strings.HasPrefix(where, config.Builtin) {
		return engine.BuiltinSource(where)
	}
	return sources(where, ".rego")
}

func sources(where string, extensions ...string) (map[string]string, error) {
	info, err := os.Stat(where)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	if !info.IsDir() {
		text, err := readBounded(where)
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
		case len(files) == maxPolicyFiles:
			return fmt.Errorf("%s holds more than %d files", where, maxPolicyFiles)
		}
		text, err := readBounded(path)
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

func readBounded(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPolicyFile+1))
	if err == nil && len(text) > maxPolicyFile {
		err = errors.New(path + " is too large for a policy")
	}
	return string(text), err
}
