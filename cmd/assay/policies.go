package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/engine"
)

// compile makes the policies of a configuration ready to decide, with what TUF repositories publish of them. states and log may be nil.
func (a *app) compile(ctx context.Context, cfg *config.Config, states published, log *slog.Logger) (*engine.Set, error) {
	list, err := bindings(cfg, states)
	if err != nil {
		return nil, err
	}
	return engine.Compile(ctx, list, engine.Options{Log: log})
}

// bindings reads the sources of the configured policies.
func bindings(cfg *config.Config, states published) ([]engine.Policy, error) {
	list := make([]engine.Policy, len(cfg.Policies))
	for i, p := range cfg.Policies {
		list[i] = engine.Policy{
			Name: p.Name, Repositories: config.Globs(p.Repositories), Mode: policy.Mode(p.Mode), Params: p.Params,
			EvidenceFirst: p.Evidence == "first", AllChildren: p.Index == "all-children", TagsStrict: p.Tags == "strict",
		}
		var err error
		if authority, ok := strings.CutPrefix(p.Rego, config.FromTUF); ok {
			err = fromTUF(&list[i], authority, states)
		} else {
			list[i].Source, err = modules(p.Rego)
		}
		if err != nil {
			return nil, fmt.Errorf("the policy %q: %w", p.Name, err)
		}
	}
	return list, nil
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
