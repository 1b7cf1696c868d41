package config

import (
	"fmt"
	"strings"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

func (v *validator) authorities() {
	seen := map[string]int{}
	for i, a := range v.c.Authorities {
		path := fmt.Sprintf("authorities[%d]", i)
		v.unique(path+".name", a.Name, seen, i)
		if a.Name == verify.ReservedAuthority {
			v.fail(path+".name", "choose another", "the name %q is the registry's own", a.Name)
		}
		v.globs(path+".repositories", a.Repositories)
		if len(a.PromoteFrom) > 0 {
			v.globs(path+".promote_from", a.PromoteFrom)
		}
		authority := verify.Authority{Name: a.Name, Kind: a.Kind, Repositories: Globs(a.Repositories), Binding: a.Binding, PromoteFrom: Globs(a.PromoteFrom), Origin: "config"}
		authority.Keys = v.authorityKeys(path, a)
		v.spans(path, a)
		if err := authority.Validate(); err != nil && !v.failedUnder(path) {
			v.fail(path, "", "%s", message(err))
		}
		v.c.trust = append(v.c.trust, authority)
	}
}

// failedUnder reports whether something at path or below is known to be wrong.
func (v *validator) failedUnder(path string) bool {
	for _, p := range v.problems {
		if rest, ok := strings.CutPrefix(p.Path, path); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

func (v *validator) authorityKeys(path string, a Authority) []verify.Key {
	var keys []verify.Key
	switch {
	case a.Key != "":
		keys = append(keys, v.keyFile(path+".key", KeyFile{File: a.Key, NotBefore: a.NotBefore, NotAfter: a.NotAfter})...)
	case len(a.Keys) == 0 && a.Kind == verify.KindKey:
		v.fail(path, "name the PEM file of its public key: key: cosign.pub", "has no key")
	case !a.NotBefore.IsZero() || !a.NotAfter.IsZero():
		v.fail(path, "put not_before and not_after beside each file", "not_before and not_after belong to key, which is not given")
	}
	for i, f := range a.Keys {
		if f.File != "" { // a missing one is known already
			keys = append(keys, v.keyFile(fmt.Sprintf("%s.keys[%d]", path, i), f)...)
		}
	}
	return keys
}

func (v *validator) keyFile(path string, f KeyFile) []verify.Key {
	if !f.NotAfter.IsZero() && !f.NotBefore.Before(f.NotAfter.Time) {
		v.fail(path, "", "not_after is not later than not_before")
	}
	if !v.readable(path, f.File) {
		return nil
	}
	text, err := v.o.ReadFile(f.File)
	if err != nil {
		v.fail(path, "", "%v", err)
		return nil
	}
	key, err := verify.ParseKeyPEM(text)
	if err != nil {
		v.fail(path, "", "%s: %s", clip(f.File), message(err))
		return nil
	}
	key.NotBefore, key.NotAfter = f.NotBefore.Time, f.NotAfter.Time
	return []verify.Key{key}
}

// spans warns where a signature that names no repository would count in several.
func (v *validator) spans(path string, a Authority) {
	wide := len(a.Repositories) > 1
	for _, p := range a.Repositories {
		wide = wide || strings.Contains(p, "*")
	}
	if wide {
		v.advise(path+".repositories", "split it by repository if that matters",
			"the authority %q speaks for several repositories: a signature of a format that names no repository (a sigstore bundle) counts in all of them", a.Name)
	}
	if a.Binding == verify.BindingNone {
		v.warn(path+".binding", "", "a signature by %q made for one repository counts in every repository of the authority", a.Name)
	}
}

// message is an error's sentence without its code.
func message(err error) string {
	if e, ok := err.(*store.Error); ok {
		return e.Message
	}
	return err.Error()
}

// RefuseOwnKeys returns an *[Error] if an authority holds one of the registry's own keys. own maps a key's ID to what it is for.
// The registry's statements about content must never count as somebody's signature on it.
func (c *Config) RefuseOwnKeys(own map[string]string) error {
	var problems []Problem
	for i, a := range c.trust {
		for _, k := range a.Keys {
			if use, ok := own[k.ID]; ok {
				problems = append(problems, Problem{Path: fmt.Sprintf("authorities[%d]", i), Hint: "trust the key of whoever signs",
					Message: fmt.Sprintf("the authority %q holds the registry's own %s key, which never speaks for images", a.Name, use)})
			}
		}
	}
	if len(problems) > 0 {
		return &Error{File: c.path, Problems: problems}
	}
	return nil
}
