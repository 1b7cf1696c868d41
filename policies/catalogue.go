package policies

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Code is one entry of the catalogue: a reason code that stays what it is once it was published.
type Code struct {
	Name    string // signature.missing
	Meaning string // one sentence
	Remedy  string // what changes it
}

// Catalogue lists every code that the registry, its verifiers and the shipped policies give, ordered by name. Policies of your own may use further
// codes; "policy." is the engine's.
func Catalogue() []Code {
	all := slices.Concat(codesOfEvidence(), codesOfContents(), codesOfPlaces())
	slices.SortFunc(all, func(a, b Code) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// codesOfEvidence are about signatures, attestations and TUF.
func codesOfEvidence() []Code {
	const sign = "sign the digest with a key of an accepted authority"
	return []Code{
		{"attestation.builder", "The build's provenance is of another builder than the policy wants.", "build it with the wanted builder"},
		{"attestation.identity", "Another identity than the policy wants signed the provenance.", "have the wanted identity attest it"},
		{"attestation.issuer", "Another issuer than the policy wants vouched for who signed the provenance.", "have an identity of the wanted issuer attest it"},
		{"attestation.missing", "No attestation that the policy wants is there.", "attest the digest: the build's provenance, a scan, or what the policy names"},
		{"attestation.predicate_type", "What is attested is of another type than the policy wants.", "attest with a predicate of the wanted type"},
		{"attestation.ref", "It was built from another branch or tag than the policy wants.", "build it from the wanted one"},
		{"attestation.result", "An attestation says another result than the policy wants.", "have what failed pass, and attest it again"},
		{"attestation.source", "It was built from another repository than the policy wants.", "build it from the wanted one"},
		{"attestation.threshold", "Fewer distinct keys or identities attested it than the policy wants.", "have another trusted builder attest the digest"},
		{"attestation.too_old", "The newest attestation of the wanted type is older than the policy allows, or says no time.", "attest it again"},
		{"attestation.uncovered", "Neither the index that lists the attestation nor the image that it names is admitted.", "sign the index"},
		{"attestation.untrusted", "A valid attestation is by an authority that the policy does not accept.", "have an accepted authority attest it"},
		{"attestation.workflow", "Another workflow than the policy wants built it.", "build it with the wanted workflow"},
		{"signature.annotations", "A valid signature lacks a signed annotation that the policy wants.", "sign again with the annotation: cosign sign -a KEY=VALUE"},
		{"signature.certificate_expired", "A certificate was not valid when the signature was made, or nothing trusted says when that was.", "sign with a current certificate, and a timestamp"},
		{"signature.digest_mismatch", "A signature names another digest.", sign},
		{"signature.expired", "A signature was made to count until a time that is over.", sign},
		{"signature.identity", "A certificate is of another issuer or identity than a trusted authority wants.", "sign with an identity that the authority names"},
		{"signature.internal", "Verification failed inside the registry, which proves nothing.", "see the log"},
		{"signature.invalid", "A signature's bytes do not verify.", sign},
		{"signature.key_expired", "A signature was made outside the time in which its key is valid, or that time is over.", "sign with a key that is valid now"},
		{"signature.log_mismatch", "A log entry is about another artifact, key or signature.", sign},
		{"signature.malformed", "A signature does not parse as the type that it claims.", sign},
		{"signature.missing", "Nothing signed the digest.", sign},
		{"signature.no_authority", "No authority is trusted for the repository.", "trust a key: assay trust add"},
		{"signature.no_log", "A signature brings fewer log entries than its authority wants.", "sign again and let the client write to the transparency log"},
		{"signature.no_sct", "A certificate was not proven to be in a certificate log.", "sign with a certificate of the trusted instance"},
		{"signature.no_timestamp", "A signature brings fewer trusted times than its authority wants.", "sign again and let the client ask the timestamping authority"},
		{"signature.other_repository", "A valid signature was made for another repository.", "sign the digest in this repository, or configure promote_from"},
		{"signature.out_of_scope", "Its authority is not trusted for what it says: a key that signs images may not excuse their vulnerabilities.", "have an authority attest it that is trusted for it, or add it to attests of this one"},
		{"signature.payload_type", "What was signed is of another type than in-toto.", sign},
		{"signature.revoked_certificate", "The certificate that made a signature is revoked.", "sign with a certificate that is not revoked"},
		{"signature.revoked_entry", "The log entry of a signature is revoked.", sign},
		{"signature.revoked_identity", "The identity that made a signature is revoked.", "sign with another identity"},
		{"signature.revoked_key", "The key that made a signature is revoked.", "sign with a key that is not revoked"},
		{"signature.threshold", "Fewer distinct keys or identities signed than the policy wants.", "have another signer sign the digest"},
		{"signature.too_big", "A signature exceeds the limits.", sign},
		{"signature.unsigned", "What was attached carries no signature.", sign},
		{"signature.unsupported", "A signature's scheme needs an authority of another kind.", sign},
		{"signature.untrusted", "A valid signature is by an authority that the policy does not accept.", sign},
		{"signature.untrusted_key", "No key of a trusted authority made the signature.", "sign with a trusted key, or trust this one: assay trust add"},
		{"signature.untrusted_root", "A certificate leads to no root of a trusted authority.", "sign with a certificate of a trusted authority, or trust the one that issued it"},
		{"policies.absent", "The policies that the configuration takes from an artifact were never accepted, which refuses.", "an administrator looks at assay policy status"},
		{"tuf.digest_mismatch", "The tag or target is pinned to another digest or length.", "pin the digest and publish: assay tuf add"},
		{"tuf.expired", "The TUF metadata that proved it ran out.", "renew the metadata: assay tuf sign, assay tuf publish"},
		{"tuf.missing", "No TUF target pins the digest.", "pin the digest under a tag and publish: assay tuf add"},
		{"tuf.not_pinned", "No TUF target pins the tag.", "pin the tag and publish: assay tuf add"},
		{"tuf.policies", "The policies that a TUF repository publishes are not there, or have expired, which refuses.", "an administrator runs assay trust update"},
		{"tuf.untrusted", "A TUF authority that the policy does not accept pins it.", "pin it in a repository of an accepted authority"},
	}
}

// codesOfContents are about what an image is made of.
func codesOfContents() []Code {
	return []Code{
		{"base.not_allowed", "The base image that the image claims is in no list of the policy.", "build from an allowed base image"},
		{"base.unknown", "The image does not say which base image it is made from.", "build with the annotation org.opencontainers.image.base.name"},
		{"config.entrypoint", "The image runs something that the policy does not allow.", "set an allowed ENTRYPOINT"},
		{"config.env", "The image sets a name in its environment that looks like something secret.", "leave it out of the image, and hand it to the container when it starts"},
		{"config.label", "The image lacks a label that the policy wants, or has another value.", "set the label"},
		{"config.layers", "The image has more layers than the policy allows.", "join steps of the build"},
		{"config.missing", "The image's configuration could not be read, so that it cannot be judged.", "push the image again, with its configuration"},
		{"config.no_date", "The image's configuration does not say when it was made.", "build it with a time of creation"},
		{"config.platform", "The image is made for a platform that the policy does not allow.", "build for an allowed platform"},
		{"config.port", "The image exposes a port that the policy does not allow.", "expose an allowed port"},
		{"config.root_user", "The image runs as root.", "set a numeric user in the image's configuration"},
		{"config.too_big", "The image's layers are larger than the policy allows.", "make the image smaller"},
		{"config.too_old", "The image was made longer ago than the policy allows.", "build it again"},
		{"license.denied", "A package is under a licence that the policy denies.", "replace the package, or except it by name"},
		{"license.not_allowed", "A package is under a licence that the policy does not allow.", "replace the package, or have the licence allowed"},
		{"license.unknown", "What is known of the SBOM tells no licences.", "attest an SBOM that names licences, or have the registry make it"},
		{"license.unlicensed", "Packages have no licence that is known.", "find out the licences and attest an SBOM that names them"},
		{"sbom.diff_ids", "The layers' uncompressed digests are not those that the configuration names.", "build and push the image again"},
		{"sbom.drift", "What a client's SBOM declares differs from what the registry found by more than the policy allows, or was not compared yet.", "attest an SBOM of what was pushed"},
		{"sbom.failed", "The registry could not make the SBOM.", "attach an SBOM made at the build"},
		{"sbom.format", "The SBOM has a format that the policy does not accept.", "attach an SBOM in an accepted format"},
		{"sbom.missing", "The image has no SBOM yet.", "wait until the registry made it, or attach one"},
		{"sbom.origin", "The SBOM comes from where the policy does not accept it.", "attach one of an accepted origin"},
		{"sbom.unverified", "The attestation that carries the SBOM is not verified.", "sign the attestation with a trusted key"},
		{"vuln.db_too_old", "A scan rests on a database older than the policy allows, or of no known time.", "update the database, scan again and attest the report"},
		{"vuln.missing", "No report about vulnerabilities counts.", "scan the image and attest the report"},
		{"vuln.scan_too_old", "A report about vulnerabilities is older than the policy allows, or of no known time.", "scan the image again and attest the report"},
		{"vuln.threshold", "A report has more findings than the policy allows.", "update what is affected, or say by a VEX statement why it is not"},
		{"vuln.uncovered", "No database speaks of packages of the image's system, or the image does not tell which system it is.", "install a database that speaks of the distribution and its release, attest a scan, or let such images pass by the parameter uncovered"},
		{"vuln.uncovered_language", "No database speaks of packages of a language that the image has.", "install a database that speaks of its ecosystem, attest a scan, or let such images pass by the parameters uncovered or unlooked"},
		{"vuln.unreadable", "A report about vulnerabilities is in no form that is known.", "attest a report of trivy or grype, or in-toto's vulns"},
	}
}

// codesOfPlaces are about names, tags and clusters, and about the engine.
func codesOfPlaces() []Code {
	return []Code{
		{"cluster.digest", "The namespace runs images that are named by their digest, and this one is not.", "name the image by its digest"},
		{"cluster.ephemeral", "The namespace runs no ephemeral containers.", "debug in a namespace that allows them"},
		{"cluster.repository", "The namespace may not run images of this repository.", "run it elsewhere, or allow the repository there"},
		{"image.absent", "The registry does not hold the image.", "push it, or correct the name"},
		{"image.evidence", "What is named is evidence about an image, which nothing admits to run.", "name the image"},
		{"image.malformed", "What is named is no image reference.", "write HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST"},
		{"image.too_old", "The registry has had the image longer than the policy allows.", "push a newer build"},
		{"image.unknown", "The image lies in another registry, about which nothing is known here.", "copy it into this registry, or allow it: kubernetes.unknown"},
		{"policy.error", "A policy's evaluation ended in an error, which refuses.", "see the log; run assay policy eval on the recorded input"},
		{"policy.incomplete", "Content that the manifest references is not in the repository.", "push it whole"},
		{"policy.malformed", "A policy answered something that is no result, which refuses.", "run assay policy check and assay policy eval"},
		{"policy.none", "No policy is in force for the repository, which refuses.", "name a policy in the configuration; builtin:open allows everything"},
		{"policy.panic", "A policy's evaluation failed inside the engine, which refuses.", "see the log"},
		{"policy.revoked", "An administrator revoked the digest, or content that it references.", "use another version"},
		{"policy.timeout", "A policy did not answer in time, which refuses.", "make the policy cheaper; the registry asks again within a minute"},
		{"tag.immutable", "The tag has named another image, and the policy lets it name no second one.", "push under another tag, or have an administrator delete this one"},
		{"tag.mutable", "The tag can move, and the policy wants tags that say what they name.", "push under a version, such as v1.2.3"},
		{"tag.not_allowed", "The policy does not allow this name for a tag.", "push under a name that is allowed"},
		{"tag.not_attested", "The tag may only show what carries an attestation or a signed annotation.", "attest or sign the digest"},
		{"tag.not_promoted", "The tag may only show what another one already shows.", "push it under the other tag first"},
		{"waiver.break_glass", "What policies deny is let through by a waiver of every code, for a day at most.", "mend what the policies deny before it ends"},
	}
}

// Page is what there is to say about a code, in Markdown; ok is false for one that is not in the catalogue.
func Page(name string) (page string, ok bool) {
	all := Catalogue()
	i := slices.IndexFunc(all, func(c Code) bool { return c.Name == name })
	if i < 0 {
		return "", false
	}
	c := all[i]
	var b strings.Builder
	fmt.Fprintf(&b, "## `%s`\n\n%s\n\n*What helps:* %s.\n", c.Name, c.Meaning, c.Remedy)
	var by []string
	for _, policy := range Names() {
		source, _ := Builtin(policy)
		if strings.Contains(source, `"`+name+`"`) || strings.Contains(source, ".nearest") && strings.Contains(Library(), `"`+name+`"`) {
			by = append(by, "`builtin:"+policy+"`")
		}
	}
	if len(by) > 0 {
		fmt.Fprintf(&b, "\n*Given by:* %s.\n", strings.Join(by, ", "))
	} else {
		fmt.Fprintf(&b, "\n*Given by:* the registry itself.\n")
	}
	switch {
	case strings.HasPrefix(name, "policy."):
		b.WriteString("\nNo waiver excepts from it.\n")
	case strings.HasPrefix(name, "policies."), name == "tuf.policies":
		b.WriteString("\nOnly break glass excepts from it: a waiver of every code.\n")
	}
	return b.String(), true
}

// Pages are the pages of all codes, in the order of the catalogue: policies/codes.md.
func Pages() string {
	var b strings.Builder
	b.WriteString("# Reason codes\n\nWhat a refusal, a warning or a decision says in one word. `assay policy codes CODE` shows a page, too. Made of `catalogue.go`.\n")
	for _, c := range Catalogue() {
		page, _ := Page(c.Name)
		b.WriteString("\n" + page)
	}
	return b.String()
}
