# The library of policies: what a rule about signatures, attestations and the names of builders and sources comes down to. A policy that says
# "import data.assay.lib" has it; nothing else is needed, and nothing that the policy does not call is read. README.md has examples.
#
# What is wanted is an object with any of these members, each a text or a list of texts:
#
#	authorities      names; none means any authority but the registry itself, and no TUF repository: that one pins, it does not vouch
#	issuer           who vouched for the identity: exact, or a glob ('*' within a component between slashes, '**' across)
#	identity         who signed, as their certificate says: exact or a glob
#	predicate_types  of attestations: exact or a glob
#	annotations      of signatures: an object of signed annotations with their values
#	logs             in how many different transparency logs it was proven to be, a number
#	newest           true leaves out what the same signer said earlier in the same type
#	builder, workflow, source, ref
#	                 of provenance: what it says of the build, exact or globs
#
# A member that is not known matches nothing, so that a misspelt one refuses. The work is done by the built-ins assay.signatures and assay.attestations.
package assay.lib

# signed_by(want): there is a verified signature as wanted.
signed_by(want) if count(signatures(want)) > 0

# threshold(want, n): n distinct keys or identities signed as wanted.
threshold(want, n) if count(signers(want)) >= n

# attested(want): there is a verified attestation as wanted.
attested(want) if count(attestations(want)) > 0

# signatures(want) lists the verified signatures that are as wanted.
signatures(want) := assay.signatures(input.signatures, want).value.facts

# signers(want) is who made them: a key or an identity is one signer, however many signatures it made.
signers(want) := assay.signatures(input.signatures, want).value.signers

# attestations(want) lists the verified attestations that are as wanted.
attestations(want) := assay.attestations(input.attestations, want).value.facts

# referrers(want) lists what refers to the manifest and is as wanted: artifact_types (exact or a glob), evidence (true or false). Anybody who may push put it there.
referrers(want) := assay.referrers(input.referrers, want).value.referrers

# moves(want) lists where the tag was moved to, the newest first, as wanted: since (a time, or nanoseconds since 1970), by (who pushed: exact or a glob), digest.
moves(want) := assay.tag_history(input.tags.history, want).value.moves

# predicate(a) is the predicate of a verified attestation of the input; undefined where it cannot be had. assay.predicate says why not.
predicate(a) := assay.predicate(a.evidence, a.layer).value

# signer(fact) is who made a fact: its key or identity; undefined where nothing says so.
signer(fact) := who if some who in assay.signers(fact).value

# among(patterns, value): one of the patterns matches, or there are none.
among(patterns, _) if count(patterns) == 0

among(patterns, value) if count(assay.globs(patterns, value, "path").value) > 0

# matches(pattern, value): exactly, or as a glob where the pattern has a star. No other character of a pattern is special.
matches(pattern, value) if count(assay.globs(pattern, value, "path").value) > 0

# The builder, source, reference and workflow of an attestation of provenance. What the certificate says stands before what the predicate claims: the former was established by
# who issued it, the latter is the word of whoever signed. Builders, workflows and sources are sets of the forms by which they may be named.
builders(a) := assay.provenance(a).value.builders

workflows(a) := assay.provenance(a).value.workflows

sources(a) := assay.provenance(a).value.sources

source(a) := assay.provenance(a).value.source

ref(a) := assay.provenance(a).value.ref

# judged: what policies about signatures, attestations and age look at. Evidence and BuildKit's attestations are judged by nobody.
judged if input.subject.kind in {"image", "index", "artifact"}

# label names the subject in a sentence.
label := sprintf("%s@%s", [input.subject.repository, substring(input.subject.digest, 0, 19)])

# moment(text) is a time in RFC 3339 as nanoseconds since 1970; undefined where the text is none, or lies before 1970 or after 2199.
moment(text) := assay.moment(text).value

# days(n) is so many days in nanoseconds.
days(n) := n * 86400000000000

# whole_days(ns) is how many days are over in so many nanoseconds, of which there are 0 or more.
whole_days(ns) := (ns - (ns % 86400000000000)) / 86400000000000

# made(a) is when an attestation was made: by a trusted clock, else as its author says; undefined where nobody does.
made(a) := assay.made(a).value

# newest(list) leaves out what the same signer said earlier in the same type. What has no time is never left out.
newest(list) := assay.newest(list).value

# Why evidence proves nothing, by verify's codes: the fewest steps away from evidence that counts first.
refusals := [
	"signature.other_repository", "signature.revoked_key", "signature.revoked_certificate", "signature.revoked_identity", "signature.revoked_entry",
	"signature.key_expired", "signature.certificate_expired", "signature.expired", "tuf.expired", "signature.digest_mismatch", "signature.identity",
	"signature.out_of_scope",
	"signature.no_sct", "signature.no_timestamp", "signature.log_mismatch", "signature.no_log", "signature.untrusted_root", "signature.untrusted_key",
	"signature.no_authority", "signature.invalid", "signature.payload_type", "signature.unsupported", "signature.too_big", "signature.malformed",
	"signature.unsigned", "signature.internal",
]

sentences := {
	"signature.other_repository": "the valid one was made for another repository",
	"signature.revoked_key": "the key that made it is revoked",
	"signature.revoked_certificate": "the certificate that made it is revoked",
	"signature.revoked_identity": "the identity that made it is revoked",
	"signature.revoked_entry": "its entry in the transparency log is revoked",
	"signature.key_expired": "it was made outside the time in which its key is valid, or that time is over",
	"signature.certificate_expired": "its certificate was not valid when it was made, or nothing trusted says when that was",
	"signature.expired": "it was made to count until a time that is over",
	"tuf.expired": "the TUF metadata that proved it ran out",
	"signature.digest_mismatch": "the valid one names another digest",
	"signature.identity": "its certificate is of another issuer or identity than a trusted authority wants",
	"signature.out_of_scope": "its authority is not trusted for what it says",
	"signature.no_sct": "its certificate was not proven to be in a certificate log",
	"signature.no_timestamp": "it brings fewer trusted times than its authority wants",
	"signature.log_mismatch": "its entry in the transparency log is about something else",
	"signature.no_log": "it brings fewer entries of transparency logs than its authority wants",
	"signature.untrusted_root": "its certificate leads to no root of a trusted authority",
	"signature.untrusted_key": "none was made by a key of a trusted authority",
	"signature.no_authority": "no authority is trusted for this repository",
	"signature.invalid": "the bytes do not verify",
	"signature.payload_type": "what was signed is of another type than in-toto",
	"signature.unsupported": "its scheme needs an authority of another kind",
	"signature.too_big": "it exceeds the limits",
	"signature.malformed": "it does not parse as the type that it claims",
	"signature.unsigned": "what was attached carries no signature",
	"signature.internal": "verification failed inside the registry",
}

# named(facts) is the refusal of facts with the code signature.identity that says who signed, where a certificate says it.
named(facts) := sprintf("it was signed by %s, whom no trusted authority names", [who(strangers[0])]) if {
	strangers := [f | some f in facts; f.code == "signature.identity"; f.identity != ""]
	count(strangers) > 0
} else := sentences["signature.identity"]

who(fact) := sprintf("%s (issuer %s)", [clipped(fact.identity), substring(fact.issuer, 0, 60)]) if {
	fact.issuer != ""
} else := clipped(fact.identity)

# clipped(name) has at most 92 characters, of both ends: the owner stands at one, the version at the other.
clipped(name) := name if {
	count(name) <= 92
} else := sprintf("%s…%s", [substring(name, 0, 38), substring(name, count(name) - 53, 53)])

# What else than signing again helps.
remedies := {
	"signature.no_authority": "trust a key for this repository: assay trust add",
	"signature.identity": "sign with an identity that the authority names, or have it name this one",
	"signature.out_of_scope": "have an authority attest it that is trusted for it, or add it to attests of this one",
	"signature.untrusted_root": "sign with a certificate of a trusted authority, or trust the one that issued it",
	"signature.no_timestamp": "sign again and let the client ask the timestamping authority",
	"signature.no_log": "sign again and let the client write to the transparency log",
	"tuf.expired": "renew the metadata of the TUF repository: assay tuf publish",
	"signature.internal": "ask an administrator: the log has the cause",
}
