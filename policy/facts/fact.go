package facts

import (
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
)

// Fact reads a fact of the input: a signature or an attestation as a policy has it.
type Fact struct {
	terms.Getter
	term *ast.Term
}

// Term is the fact as a policy has it.
func (f Fact) Term() *ast.Term { return f.term }

// of is a term as a fact.
func of(t *ast.Term) (Fact, bool) {
	o, ok := terms.GetterOf(t)
	return Fact{o, t}, ok
}

// The names of its members, as terms.
var (
	keyAuthority     = ast.StringTerm("authority")
	keyScheme        = ast.StringTerm("scheme")
	keyVerified      = ast.StringTerm("verified")
	keyCode          = ast.StringTerm("code")
	keyKeyID         = ast.StringTerm("key_id")
	keySigner        = ast.StringTerm("signer")
	keyRole          = ast.StringTerm("role")
	keyIssuer        = ast.StringTerm("issuer")
	keyIdentity      = ast.StringTerm("identity")
	keyPredicateType = ast.StringTerm("predicate_type")
	keyAnnotations   = ast.StringTerm("annotations")
	keyExtensions    = ast.StringTerm("extensions")
	keyLogs          = ast.StringTerm("logs")
	keyLog           = ast.StringTerm("log")
	keySignedAt      = ast.StringTerm("signed_at")
	keySummary       = ast.StringTerm("summary")
	keyBuilder       = ast.StringTerm("builder")
	keyEntryPoint    = ast.StringTerm("entry_point")
	keySource        = ast.StringTerm("source")
	keyRef           = ast.StringTerm("ref")
	keyOfKey         = ast.StringTerm("key")
)

// The names of extensions of Fulcio's, and in order those of times in a summary.
var (
	extBuildSigner  = ast.StringTerm("build_signer_uri")
	extBuildConfig  = ast.StringTerm("build_config_uri")
	extRunner       = ast.StringTerm("runner_environment")
	extSource       = ast.StringTerm("source_repository_uri")
	extGitHubSource = ast.StringTerm("github_workflow_repository")
	extRefs         = [...]*ast.Term{ast.StringTerm("source_repository_ref"), ast.StringTerm("github_workflow_ref")}
	whenMade        = [...]*ast.Term{ast.StringTerm("finished"), ast.StringTerm("created"), ast.StringTerm("started"), ast.StringTerm("db_time")}
)

// noObject has no members, and gets none.
var noObject = ast.NewObject()

func (f Fact) text(key *ast.Term) string { return terms.TextIn(f.Getter, key) }

func (f Fact) object(key *ast.Term) terms.Getter {
	if t := f.Get(key); t != nil {
		if o, ok := terms.GetterOf(t); ok {
			return o
		}
	}
	return noObject
}

// Verified reports whether it was proven.
func (f Fact) Verified() bool {
	t := f.Get(keyVerified)
	return t != nil && t.Value.Compare(ast.Boolean(true)) == 0
}

// accepted: a fact is by one of these authorities, or by any if there are none. The registry's own word never counts, and a TUF repository, which pins and does not vouch, only by its name.
func (f Fact) accepted(authorities []string) bool {
	authority := f.text(keyAuthority)
	if authority == "" || authority == "registry" {
		return false
	}
	if len(authorities) == 0 {
		return f.text(keyScheme) != "tuf"
	}
	for _, a := range authorities {
		if a == authority {
			return true
		}
	}
	return false
}

// signer is who made a fact; nil where nothing says so. The registry tells, for it knows who is one: a key with and without a certificate, an identity with certificates of several
// issuers. In a document of somebody else's making it is the identity, since a certificate's key is made for one signature.
func (f Fact) signer() *ast.Term {
	authority, role := f.Get(keyAuthority), f.Get(keyRole)
	switch {
	case f.text(keySigner) != "":
		return ast.ArrayTerm(keySigner, f.Get(keySigner))
	case f.text(keyScheme) == "tuf" && authority != nil && role != nil:
		return ast.ArrayTerm(keyRole, ast.StringTerm(terms.Text(authority)), ast.StringTerm(terms.Text(role)))
	case f.text(keyIdentity) != "":
		return ast.ArrayTerm(keyIdentity, ast.StringTerm(f.text(keyIssuer)), f.Get(keyIdentity))
	case f.text(keyKeyID) != "":
		return ast.ArrayTerm(keyOfKey, f.Get(keyKeyID))
	}
	return nil
}

// annotated reports whether signed annotations have all of these values.
func (f Fact) annotated(wanted ast.Object) bool {
	has := f.object(keyAnnotations)
	return !wanted.Until(func(k, v *ast.Term) bool {
		got := has.Get(k)
		return got == nil || !got.Equal(v)
	})
}

// logs is in how many different transparency logs it was proven to be.
func (f Fact) logs() int {
	seen := map[string]bool{}
	if t := f.Get(keyLogs); t != nil && plan.Make(t) == nil {
		if list, ok := t.Value.(*ast.Array); ok {
			list.Foreach(func(t *ast.Term) {
				if entry, ok := t.Value.(ast.Object); ok && entry.Get(keyLog) != nil {
					seen[terms.TextIn(entry, keyLog)] = true
				}
			})
		}
	}
	return len(seen)
}

// made is when an attestation was made: by a trusted clock, else as its author says.
func (f Fact) made() (latest time.Time, ok bool) {
	if at, ok := wanted.Instant(f.text(keySignedAt)); ok {
		return at, true
	}
	summary := f.object(keySummary)
	for _, name := range whenMade {
		if at, told := wanted.Instant(terms.TextIn(summary, name)); told && (!ok || at.After(latest)) {
			latest, ok = at, true
		}
	}
	return latest, ok
}

// said is what the certificate says of the build: an extension of Fulcio's by its name.
func (f Fact) said(name *ast.Term) string { return terms.TextIn(f.object(keyExtensions), name) }

func (f Fact) claimed(key *ast.Term) string { return terms.TextIn(f.object(keySummary), key) }

// The builder, source, reference and workflow of an attestation of provenance. What the certificate says stands before what the predicate claims: the former was established by
// who issued it, the latter is the word of whoever signed. Builders, workflows and sources are all the forms by which they may be named.

func (f Fact) builders() []string {
	if uri := f.said(extBuildSigner); uri != "" {
		list := forms(uri)
		// GitHub's own attestations name the runner, and the certificate says of which kind it was.
		if kind := f.said(extRunner); kind != "" && f.claimed(keyBuilder) == "https://github.com/actions/runner/"+kind {
			list = append(list, f.claimed(keyBuilder))
		}
		return list
	}
	return forms(f.claimed(keyBuilder))
}

func (f Fact) workflows() []string {
	if uri := f.said(extBuildConfig); uri != "" {
		if f.Get(keyIdentity) == nil {
			return nil
		}
		return append(forms(f.text(keyIdentity)), forms(uri)...)
	}
	if identity := f.text(keyIdentity); identity != "" {
		return forms(identity)
	}
	if name := f.claimed(keyEntryPoint); name != "" {
		return []string{name}
	}
	return nil
}

func (f Fact) source() string {
	if uri := f.said(extSource); uri != "" {
		return uri
	}
	if name := f.said(extGitHubSource); name != "" {
		return "https://github.com/" + name
	}
	return f.claimed(keySource)
}

func (f Fact) ref() string {
	for _, name := range extRefs {
		if ref := f.said(name); ref != "" {
			return ref
		}
	}
	return f.claimed(keyRef)
}

// sources are the source's address with and without https://, each with and without the reference.
func (f Fact) sources() []string {
	source := f.source()
	if source == "" {
		return nil
	}
	whole, ref := bareAddress(source), f.ref()
	list := []string{whole, whole + "@" + ref}
	if place, ok := strings.CutPrefix(whole, "https://"); ok {
		list = append(list, place, place+"@"+ref)
	}
	return list
}

// sourceAddress is a source as it is compared: with its reference if it has one, else bare.
func sourceAddress(s string) string {
	if strings.Contains(s, "@refs/") {
		return strings.TrimPrefix(s, "git+")
	}
	return bareAddress(s)
}

// bareAddress is a repository's address without the reference, git+ and .git.
func bareAddress(uri string) string {
	uri, _, _ = strings.Cut(strings.TrimPrefix(uri, "git+"), "#")
	uri, _, _ = strings.Cut(uri, "@refs/")
	return strings.TrimSuffix(strings.TrimSuffix(uri, "/"), ".git")
}

// forms is a workflow or builder with and without the reference at which it ran.
func forms(uri string) []string {
	if uri == "" {
		return nil
	}
	bare, _, _ := strings.Cut(uri, "@refs/")
	return []string{uri, bare}
}
