package trust

import (
	"context"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// content is what targets hold for the registry itself: all of it or nothing, because a policy or a key that is missing may admit more.
type content struct {
	files    int
	total    int64
	material map[string]verify.Material
	policies map[string][]byte
}

// policyData is the one target under policies/ that is data.
const policyData = "data.json"

// kind says what a target under trust/ or policies/ is: the authority and whether it is a key, or the path of a policy. ok is false for what the registry does not read.
func kind(target string) (authority, policy string, key, ok bool) {
	if rest, is := strings.CutPrefix(target, policiesDir); is {
		plain := path.Clean("/"+rest) == "/"+rest && strings.IndexFunc(rest, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 && len(target) <= MaxName
		return "", rest, false, plain && (rest == policyData || strings.HasSuffix(rest, ".rego") && path.Base(rest) != ".rego")
	}
	parts := strings.Split(strings.TrimPrefix(target, trustDir), "/")
	switch {
	case len(parts) == 2 && parts[1] == "trusted_root.json":
		return parts[0], "", false, authorityName(parts[0])
	case len(parts) == 3 && parts[1] == "keys" && strings.HasSuffix(parts[2], ".pem"):
		return parts[0], "", true, authorityName(parts[0])
	}
	return "", "", false, false
}

func authorityName(s string) bool {
	return s != "" && len(s) <= verify.MaxName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// add downloads one target. Errors: all kinds.
func (c *content) add(ctx context.Context, w *walker, t Target) error {
	authority, policy, key, ok := kind(t.Path)
	if !ok {
		w.problem("the target %q is nothing that the registry reads: it reads trust/<authority>/trusted_root.json, trust/<authority>/keys/*.pem, policies/**.rego and policies/data.json", cut(t.Path))
		return nil
	}
	if c.files++; c.files > MaxFiles {
		return failf(ErrTooMany, t.Role, "the repository has more than %d targets under trust/ and policies/", MaxFiles)
	}
	if c.total += min(t.Length, MaxFile+1); c.total > MaxTotal {
		return failf(ErrTooBig, t.Role, "the targets under trust/ and policies/ together have more than %d MiB", MaxTotal>>20)
	}
	b, err := w.Download(ctx, t, MaxFile)
	if err != nil {
		return err
	}
	if key {
		return c.addKey(authority, t, b)
	}
	if policy == "" || policy == policyData {
		if err := store.StrictJSON(b); err != nil {
			return failf(ErrMalformed, t.Role, "the target %q cannot be read: %w", cut(t.Path), err)
		}
	}
	if policy != "" {
		c.policies[policy] = b
		return nil
	}
	m := c.material[authority]
	m.TrustedRoot = string(b)
	c.material[authority] = m
	return nil
}

// addKey adds a public key; the same key in two files is one key.
func (c *content) addKey(authority string, t Target, b []byte) error {
	k, err := verify.ParseKeyPEM(b)
	if err != nil {
		return failf(ErrMalformed, t.Role, "the target %q holds no key that can be used: %w", cut(t.Path), err)
	}
	m := c.material[authority]
	if slices.ContainsFunc(m.Keys, func(known verify.Key) bool { return known.ID == k.ID }) {
		return nil
	}
	if len(m.Keys) >= verify.MaxKeys {
		return failf(ErrTooMany, t.Role, "the targets trust/%s/keys/ hold more than %d keys", authority, verify.MaxKeys)
	}
	m.Keys = append(m.Keys, k)
	slices.SortFunc(m.Keys, func(a, b verify.Key) int { return strings.Compare(a.ID, b.ID) })
	c.material[authority] = m
	return nil
}
