package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/settings"
	"github.com/assay-registry/assay/verify"
)

// materialKeys are the keys that not every kind looks at.
func (a *Authority) materialKeys() map[string]bool {
	return map[string]bool{
		"key": a.Key != "", "not_before": !a.NotBefore.IsZero(), "not_after": !a.NotAfter.IsZero(), "keys": len(a.Keys) > 0,
		"trusted_root": a.TrustedRoot != "", "tuf": a.TUF != "", "roots": a.Roots != "", "certificates": a.Certificates != "",
		"timestamp_roots": a.TimestampRoots != "", "crls": a.CRLs != "", "identities": len(a.Identities) > 0, "profile": a.Profile != (Profile{}),
		"root": a.Root != "", "source": a.Source != "", "refresh": a.Refresh != 0, "expired": a.Expired != "", "source_networks": len(a.Networks) > 0,
	}
}

// looksAt are the keys of an authority that a kind looks at, and that not every kind does.
func looksAt(kind string) []string {
	switch kind {
	case verify.KindKey:
		return []string{"key", "not_before", "not_after", "keys", "trusted_root", "tuf", "profile"}
	case verify.KindSigstore:
		return []string{"trusted_root", "tuf", "identities", "profile"}
	case verify.KindX509:
		return []string{"roots", "timestamp_roots", "crls", "identities", "trusted_root", "profile"}
	case verify.KindNotation:
		return []string{"certificates", "timestamp_roots", "crls", "identities"}
	case verify.KindTUF:
		return []string{"root", "source", "source_networks", "refresh", "expired"}
	}
	return nil
}

// foreignKeys refuses what a kind would pass over: what is given and not looked at is taken for protection.
func (v *validator) foreignKeys(path string, a *Authority) {
	known := looksAt(a.Kind)
	if known == nil {
		return // the kind itself is wrong, and reported
	}
	given := a.materialKeys()
	var foreign []string
	for name, is := range given {
		if is && !slices.Contains(known, name) {
			foreign = append(foreign, name)
		}
	}
	slices.Sort(foreign)
	for _, name := range foreign {
		hint := "remove it; kind " + a.Kind + " knows: " + strings.Join(known, ", ")
		switch {
		case name == "certificates" && a.Kind == verify.KindX509:
			hint = "write roots"
		case name == "roots" && a.Kind == verify.KindNotation:
			hint = "write certificates"
		case name == "roots" && a.Kind == verify.KindTUF:
			hint = "write root"
		}
		v.fail(path+"."+name, hint, "an authority of kind %s does not look at %s", a.Kind, name)
	}
}

// material reads the files that an authority names.
func (v *validator) material(path string, a *Authority, out *verify.Authority) {
	known := looksAt(a.Kind)
	read := func(name, file string) string {
		if !slices.Contains(known, name) {
			return ""
		}
		return v.fileText(path+"."+name, file)
	}
	out.Keys = v.authorityKeys(path, a)
	out.TrustedRoot = read("trusted_root", a.TrustedRoot)
	out.Roots = read("roots", a.Roots) + read("certificates", a.Certificates)
	out.TimestampRoots = read("timestamp_roots", a.TimestampRoots)
	out.CRLs = read("crls", a.CRLs)
	missing := func(name, hint string) {
		if !v.failedUnder(path + "." + name) {
			v.fail(path, hint, "has no %s", name)
		}
	}
	switch {
	case a.Kind == verify.KindSigstore && a.TrustedRoot == "" && a.TUF == "":
		missing("trusted_root", "name the trusted_root.json of the instance, or tuf: NAME for one that a TUF repository supplies")
	case a.Kind == verify.KindX509 && a.Roots == "":
		missing("roots", "name the PEM file of its root certificates: roots: roots.pem")
	case a.Kind == verify.KindNotation && a.Certificates == "":
		missing("certificates", "name the PEM file of its trust store: certificates: ca.pem")
	case a.Kind == verify.KindTUF && a.Root == "":
		missing("root", "name its first root.json, fetched over a way that you trust")
	case a.TrustedRoot != "" && a.TUF != "":
		v.fail(path+".tuf", "keep one of them", "trusted_root and tuf both say where the material comes from")
	}
}

// fileText reads a file that fits into an authority.
func (v *validator) fileText(path, file string) string {
	if file == "" || !v.readable(path, file) {
		return ""
	}
	if info, err := v.o.Stat(file); err != nil || info.Size() > verify.MaxTrustedRoot {
		v.fail(path, "is it the right file?", "%s has more than %d KiB", settings.Clip(file), verify.MaxTrustedRoot>>10)
		return ""
	}
	text, err := v.o.ReadFile(file)
	switch {
	case err != nil:
		v.fail(path, "", "%v", err)
	case strings.TrimSpace(string(text)) == "":
		v.fail(path, "", "%s is empty", settings.Clip(file))
	case strings.Contains(string(text), "PRIVATE KEY-----"):
		v.fail(path, "it stays with the signer; name the file of the certificates", "%s holds a private key", settings.Clip(file))
	}
	return string(text)
}

func (v *validator) authorityKeys(path string, a *Authority) []verify.Key {
	if a.Kind != verify.KindKey {
		return nil
	}
	var keys []verify.Key
	switch {
	case (a.Key != "" || len(a.Keys) > 0) && a.TUF != "":
		v.fail(path+".tuf", "keep one of them", "key and tuf both say where the keys come from")
	case a.Key != "":
		keys = append(keys, v.keyFile(path+".key", KeyFile{File: a.Key, NotBefore: a.NotBefore, NotAfter: a.NotAfter})...)
	case len(a.Keys) == 0 && a.TUF == "":
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
		v.fail(path, "", "%s: %s", settings.Clip(f.File), message(err))
		return nil
	}
	key.NotBefore, key.NotAfter = f.NotBefore.Time, f.NotAfter.Time
	return []verify.Key{key}
}
