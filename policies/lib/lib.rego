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
#
# A member that is not known matches nothing, so that a misspelt one refuses.
package assay.lib

members := {"authorities", "issuer", "identity", "predicate_types", "annotations"}

# signed_by(want): there is a verified signature as wanted.
signed_by(want) if count(signatures(want)) > 0

# threshold(want, n): n distinct keys or identities signed as wanted.
threshold(want, n) if count(signers(want)) >= n

# attested(want): there is a verified attestation as wanted.
attested(want) if count(attestations(want)) > 0

# signatures(want) lists the verified signatures that are as wanted.
signatures(want) := [s |
	known(want)
	some s in input.signatures
	s.verified == true
	by(s, want)
	every key, value in object.get(want, "annotations", {}) {
		s.annotations[key] == value
	}
]

# signers(want) is who made them: a key or an identity is one signer, however many signatures it made.
signers(want) := {who | some s in signatures(want); who := signer(s)}

# attestations(want) lists the verified attestations that are as wanted.
attestations(want) := [a |
	known(want)
	some a in input.attestations
	a.verified == true
	by(a, want)
	a.predicate_type != ""
	among(texts(want, "predicate_types"), a.predicate_type)
]

# predicate(a) is the predicate of a verified attestation of the input; undefined where it cannot be had. assay.predicate says why not.
predicate(a) := assay.predicate(a.evidence, a.layer).value

known(want) if count(object.keys(want) - members) == 0

by(fact, want) if {
	accepted(texts(want, "authorities"), fact)
	among(texts(want, "issuer"), object.get(fact, "issuer", ""))
	among(texts(want, "identity"), object.get(fact, "identity", ""))
}

# accepted(authorities, fact): a verified fact is by one of these, or by any if there are none. The registry's own word never counts.
accepted(authorities, fact) if {
	count(authorities) == 0
	not fact.authority in {"", "registry"}
	not fact.scheme == "tuf"
	fact.authority
}

accepted(authorities, fact) if {
	fact.authority != "registry"
	fact.authority in authorities
}

# signer(fact) is who made a fact. The registry tells, for it knows who is one: a key with and without a certificate, an identity with certificates of several issuers. In a document
# of somebody else's making it is the identity, since a certificate's key is made for one signature.
signer(fact) := ["signer", fact.signer] if {
	fact.signer != ""
} else := ["role", fact.authority, fact.role] if {
	fact.scheme == "tuf"
} else := ["identity", object.get(fact, "issuer", ""), fact.identity] if {
	fact.identity != ""
} else := ["key", fact.key_id] if {
	fact.key_id != ""
}

# among(patterns, value): one of the patterns matches, or there are none.
among(patterns, _) if count(patterns) == 0

among(patterns, value) if {
	some pattern in patterns
	matches(pattern, value)
}

# matches(pattern, value): exactly, or as a glob where the pattern has a star. No other character of a pattern is special.
matches(pattern, value) if pattern == value

matches(pattern, value) if {
	contains(pattern, "*")
	value != ""
	glob.match(replace(glob.quote_meta(pattern), "\\*", "*"), ["/"], value)
}

texts(want, name) := list(object.get(want, name, []))

# list(x) is x, or a list of x alone.
list(x) := x if {
	is_array(x)
} else := [x]

# said(fact, name) is what the certificate says of the build: an extension of Fulcio's by its name; undefined where it has none.
said(fact, name) := fact.extensions[name] if fact.extensions[name] != ""

# The builder, source, reference and workflow of an attestation of provenance. What the certificate says stands before what the predicate claims: the former was established by
# who issued it, the latter is the word of whoever signed. Each is a set of the forms by which it may be named.
builders(a) := forms(said(a, "build_signer_uri")) | runner(a) if {
	said(a, "build_signer_uri")
} else := forms(a.summary.builder) if {
	a.summary.builder != ""
} else := set()

# GitHub's own attestations name the runner, and the certificate says of which kind it was.
runner(a) := {name | name := sprintf("https://github.com/actions/runner/%s", [said(a, "runner_environment")]); a.summary.builder == name}

workflows(a) := union({forms(uri) | some uri in [a.identity, said(a, "build_config_uri")]}) if {
	said(a, "build_config_uri")
} else := forms(a.identity) if {
	a.identity != ""
} else := {a.summary.entry_point} if {
	a.summary.entry_point != ""
} else := set()

source(a) := said(a, "source_repository_uri") if {
	said(a, "source_repository_uri")
} else := sprintf("https://github.com/%s", [said(a, "github_workflow_repository")]) if {
	said(a, "github_workflow_repository")
} else := a.summary.source if {
	a.summary.source != ""
} else := ""

ref(a) := said(a, "source_repository_ref") if {
	said(a, "source_repository_ref")
} else := said(a, "github_workflow_ref") if {
	said(a, "github_workflow_ref")
} else := a.summary.ref if {
	a.summary.ref != ""
} else := ""

sources(a) := {form |
	source(a) != ""
	whole := bare(source(a))
	some place in [whole, trim_prefix(whole, "https://")]
	some form in [place, sprintf("%s@%s", [place, ref(a)])]
}

# bare(uri) is a repository's address without the reference, git+ and .git.
bare(uri) := trim_suffix(trim_suffix(split(split(trim_prefix(uri, "git+"), "#")[0], "@refs/")[0], "/"), ".git")

# forms(uri) is a workflow or builder with and without the reference at which it ran.
forms(uri) := {uri, split(uri, "@refs/")[0]}

# judged: what policies about signatures, attestations and age look at. Evidence and BuildKit's attestations are judged by nobody.
judged if input.subject.kind in {"image", "index", "artifact"}

# label names the subject in a sentence.
label := sprintf("%s@%s", [input.subject.repository, substring(input.subject.digest, 0, 19)])

# moment(text) is a time in RFC 3339 as nanoseconds since 1970; undefined where the text is none, or lies before 1970 or after 2199.
moment(text) := time.parse_rfc3339_ns(text) if {
	regex.match(`^((19[7-9][0-9]|2[01][0-9]{2})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|(19(72|76|8[048]|9[26])|20([02468][048]|[13579][26])|21(0[48]|[2468][048]|[13579][26]))-02-29)T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][01][0-9]:[0-5][0-9])$`, text)
}

# days(n) is so many days in nanoseconds.
days(n) := n * 86400000000000

# made(a) is when an attestation was made: by a trusted clock, else as its author says; undefined where nobody does.
made(a) := moment(a.signed_at) if {
	moment(a.signed_at)
} else := latest if {
	latest := max([at | some name in ["finished", "created", "started", "db_time"]; at := moment(a.summary[name])])
}

# newest(list) leaves out what the same signer said earlier in the same type. What has no time is never left out.
newest(list) := list if {
	count(list) < 2
} else := [a |
	some a in list
	not superseded(a, list)
]

superseded(a, list) if {
	some b in list
	b.predicate_type == a.predicate_type
	signer(b) == signer(a)
	b.authority == a.authority
	made(b) > made(a)
}

# nearest(facts) is the code of the unverified fact that is the fewest steps away from one that counts; undefined where there is none.
nearest(facts) := refusals[min({place | some f in facts; some place, code in refusals; code == f.code})]

# Why evidence proves nothing, by verify's codes: the fewest steps away from evidence that counts first.
refusals := [
	"signature.other_repository", "signature.revoked_key", "signature.revoked_certificate", "signature.revoked_identity", "signature.revoked_entry",
	"signature.key_expired", "signature.certificate_expired", "signature.expired", "tuf.expired", "signature.digest_mismatch", "signature.identity",
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
	"signature.untrusted_root": "sign with a certificate of a trusted authority, or trust the one that issued it",
	"signature.no_timestamp": "sign again and let the client ask the timestamping authority",
	"signature.no_log": "sign again and let the client write to the transparency log",
	"tuf.expired": "renew the metadata of the TUF repository: assay tuf publish",
	"signature.internal": "ask an administrator: the log has the cause",
}
