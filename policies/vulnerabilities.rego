# METADATA
# scope: package
# title: vulnerabilities
# description: |
#   Admits an image when a report about its vulnerabilities is there, young enough, and has no more findings than are allowed. A report is one that an accepted authority attested
#   (cosign's vulnerability record, in-toto vulns), or what the registry matched itself. Of several scanners each must be content; of one, the newest report counts. Findings are excused by
#   a VEX statement, by an entry of the list that is not over, or while they are new. What a report does not name cannot be excused. An index is judged by its children.
# custom:
#   params:
#     severities:
#       type: array
#       items: {type: string, enum: [critical, high, medium, low, negligible, unknown]}
#       minItems: 1
#       default: [critical]
#       description: the severities that are looked at
#     allowed:
#       type: object
#       additionalProperties: {type: integer, minimum: 0}
#       default: {}
#       description: "how many findings of a severity may be there, such as {high: 5}; 0 where nothing is said"
#     fixable_only:
#       type: boolean
#       default: false
#       description: whether findings without a fixed version are left out, where the report tells
#     grace_days:
#       type: integer
#       minimum: 0
#       default: 0
#       description: for so many days after its publication a finding warns and does not refuse; one without a date has none
#     scan_days:
#       type: integer
#       minimum: 0
#       default: 30
#       description: the most days since the report was made; 0 does not ask
#     db_days:
#       type: integer
#       minimum: 0
#       default: 0
#       description: the most days since the database of the scanner was brought up to date; 0 does not ask
#     origins:
#       type: array
#       items: {type: string, enum: [attested, matched]}
#       minItems: 1
#       default: [attested, matched]
#       description: attested is a scanner's report signed by an authority, matched the registry's own
#     authorities:
#       type: array
#       items: {type: string, not: {enum: [registry, ""]}}
#       default: []
#       description: whose reports count; none means any authority but the registry itself
#     vex:
#       type: string
#       enum: [respect, ignore]
#       default: respect
#       description: whether OpenVEX statements that say not_affected (with a reason) or fixed excuse findings
#     vex_authorities:
#       type: array
#       items: {type: string, not: {enum: [registry, ""]}}
#       default: []
#       description: whose statements count; none means any authority but the registry itself
#     ignore:
#       type: array
#       default: []
#       description: findings that are known and borne until a day
#       items:
#         type: object
#         required: [id, expires, reason]
#         properties:
#           id: {type: string, pattern: "^[A-Za-z0-9._-]+$", description: such as CVE-2026-1234}
#           expires: {type: string, pattern: "^2[01][0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z$", description: when the entry ends, in UTC}
#           package: {type: string, default: "**", description: "exact or a glob over the package as the report names it ('*' within a component, '**' across)"}
#           reason: {type: string, pattern: ".", description: for people}
package assay

import data.assay.lib

admit.deny contains reason if {
	input.subject.kind == "image"
	some reason in reasons
}

# The verdict is asked for again when something of this ends, and once a day in any case.
admit.valid_until contains time.format(time.now_ns() + day)

admit.valid_until contains time.format(end) if {
	input.params.scan_days > 0
	some end in scan_ends
}

admit.valid_until contains time.format(end) if {
	input.params.db_days > 0
	some end in db_ends
}

admit.valid_until contains time.format(assay.moment(entry.expires).value) if some entry in input.params.ignore

day := 86400000000000

scans := ["https://cosign.sigstore.dev/attestation/vuln/v1", "cosign.sigstore.dev/attestation/vuln/v1", "https://in-toto.io/attestation/vulns/*"]

attested := assay.attestations(input.attestations, {"predicate_types": scans, "authorities": input.params.authorities, "newest": true}).value.facts if {
	"attested" in input.params.origins
} else := []

# What is counted, by the place of its report among these: the attestations, and after them the registry's own.
reports := array.concat([a | some a in attested; countable(a)], own)

countable(a) if is_object(a.summary.counts)

own := [{"summary": input.vulnerabilities}] if {
	input.vulnerabilities.origin == "matched"
	input.vulnerabilities.present == true
	"matched" in input.params.origins
} else := []

by(r) := sprintf("the scan by %s", [r.authority]) if {
	r.authority
} else := "the registry's own"

evidence(r) := [r.evidence] if {
	r.evidence
} else := []

# Until when a report is young enough, by its place; absent where nobody says when it was made. The registry's own is made when it is asked for.
scan_ends[i] := assay.until(r, input.params.scan_days).value if {
	some i, r in reports
	r.authority
}

scan_ends[i] := time.now_ns() + (input.params.scan_days * day) if {
	some i, r in reports
	not r.authority
}

db_ends[i] := assay.until(r.summary.db_time, input.params.db_days).value if some i, r in reports

reasons contains {
	"code": "vuln.missing",
	"msg": sprintf("%s has no report about vulnerabilities that counts here (%s).", [lib.label, concat(" or ", input.params.origins)]),
	"remedy": "scan it and attest the report: cosign attest --type vuln --predicate scan.json",
} if {
	count(reports) == 0
	count(unreadable) == 0
}

unreadable := [a.evidence | some a in attested; not countable(a)]

reasons contains {
	"code": "vuln.unreadable",
	"msg": sprintf("A report about the vulnerabilities of %s is in no form that is known: its findings cannot be counted.", [lib.label]),
	"remedy": "attest a report of trivy or grype, or in-toto's vulns",
	"evidence": array.slice(unreadable, 0, 8),
} if {
	count(unreadable) > 0
}

reasons contains {
	"code": "vuln.scan_too_old",
	"msg": sprintf("The report on %s, %s, was made %s, and this policy allows %d days.", [lib.label, by(r), ago(scan_ends, i, input.params.scan_days), input.params.scan_days]),
	"remedy": "scan it again and attest the report",
	"evidence": evidence(r),
} if {
	input.params.scan_days > 0
	some i, r in reports
	not young(scan_ends, i)
}

reasons contains {
	"code": "vuln.db_too_old",
	"msg": sprintf("The report on %s, %s, rests on a database that was brought up to date %s, and this policy allows %d days.", [lib.label, by(r), ago(db_ends, i, input.params.db_days), input.params.db_days]),
	"remedy": "update the scanner's database, scan again and attest the report",
	"evidence": evidence(r),
} if {
	input.params.db_days > 0
	some i, r in reports
	not young(db_ends, i)
}

young(ends, i) if ends[i] > time.now_ns()

ago(ends, i, limit) := sprintf("%d days ago", [floor((time.now_ns() - ends[i]) / day) + limit]) if {
	ends[i]
} else := "at a time that nobody says"

reasons contains {
	"code": "vuln.threshold",
	"msg": sprintf("%s has too many findings, %s (%s): %s.", [lib.label, excess(r, excused(r)), by(r), names(r, excused(r))]),
	"remedy": "update what is affected, or say by a VEX statement why it is not",
	"evidence": evidence(r),
} if {
	some r in reports
	some severity in input.params.severities
	total(r, severity) > object.get(input.params.allowed, severity, 0)
	too_many(r, excused(r))
}

# What is new enough to be borne for now refuses on the day when the first of it is not.
reasons contains {
	"code": "vuln.threshold",
	"msg": sprintf("%s has too many findings, %s (%s), not refused yet because they are new: %s.", [lib.label, excess(r, lasting(r)), by(r), names(r, lasting(r))]),
	"remedy": "update what is affected, or say by a VEX statement why it is not",
	"evidence": evidence(r),
	"effective_on": time.format(min([end | some f in r.summary.top; concerns(f); new(f); not for_good(f); end := published(f) + (input.params.grace_days * day)])),
} if {
	input.params.grace_days > 0
	some r in reports
	not too_many(r, excused(r))
	too_many(r, lasting(r))
}

concerns(f) if {
	f.severity in input.params.severities
	counted(f)
}

counted(_) if input.params.fixable_only == false

counted(f) if f.fixed_in != ""

# Findings by their place in the report: two of the same name are two.
excused(r) := {i | some i, f in r.summary.top; concerns(f); let_be(f)}

lasting(r) := {i | some i, f in r.summary.top; concerns(f); for_good(f)}

let_be(f) if for_good(f)

let_be(f) if new(f)

for_good(f) if ignored(f)

for_good(f) if vexed(f)

# total is how many findings of a severity the report has; what it says of fixes counts only where that is asked for.
total(r, severity) := object.get(r.summary, ["counts", severity], 0) if {
	input.params.fixable_only == false
} else := object.get(object.get(r.summary, "fixable", object.get(r.summary, "counts", {})), severity, 0)

remaining(r, excuses, severity) := total(r, severity) - count([i | some i in excuses; r.summary.top[i].severity == severity])

over(r, excuses) := {severity: n |
	some severity in input.params.severities
	n := remaining(r, excuses, severity)
	n > object.get(input.params.allowed, severity, 0)
}

too_many(r, excuses) if count(over(r, excuses)) > 0

excess(r, excuses) := concat(" and ", [sprintf("%d %s", [n, severity]) |
	some severity in input.params.severities
	n := over(r, excuses)[severity]
])

names(r, excuses) := lib.clipped(concat(", ", listed)) if {
	listed := {f.id | some i, f in r.summary.top; concerns(f); not i in excuses}
	count(listed) > 0
} else := "the report does not name them"

published(f) := assay.moment(f.published).value

new(f) if {
	input.params.grace_days > 0
	published(f) + (input.params.grace_days * day) > time.now_ns()
}

ignored(f) if {
	some entry in input.params.ignore
	entry.id == f.id
	assay.moment(entry.expires).value > time.now_ns()
	about(entry["package"], object.get(f, "package", ""))
}

about("**", _)

about(pattern, name) if lib.matches(pattern, name)

# What the registry matched says itself what VEX statements made of it.
vexed(f) if {
	input.params.vex == "respect"
	f.vex in {"not_affected", "fixed"}
}

# The latest statements about a finding decide, and all of them agree.
vexed(f) if {
	input.params.vex == "respect"
	about_it := [s | some s in statements[f.id]; applies(s, object.get(f, "package", ""))]
	count(about_it) > 0
	latest := max([s.at | some s in about_it])
	every s in [s | some s in about_it; s.at == latest] {
		excuses(s)
	}
}

excuses(s) if s.status == "fixed"

excuses(s) if {
	s.status == "not_affected"
	s.reasoned
}

vex := assay.attestations(input.attestations, {"predicate_types": ["https://openvex.dev/ns", "https://openvex.dev/ns/*"], "authorities": input.params.vex_authorities}).value.facts

# The statements by what they are about, reduced to texts: see OpenVEX, "Statement fields".
statements[id] contains {"status": lower(s.status), "at": at, "reasoned": reasoned, "products": products} if {
	some a in vex
	doc := assay.predicate(a.evidence, a.layer).value
	some s in doc.statements
	some name in identifiers(s.vulnerability)
	id := sprintf("%s", [name])
	at := moment(sprintf("%s", [object.get(s, "last_updated", object.get(s, "timestamp", object.get(doc, "last_updated", object.get(doc, "timestamp", ""))))]))
	reasoned := sprintf("%s%s", [object.get(s, "justification", ""), object.get(s, "impact_statement", "")]) != ""
	products := [{"texts": {sprintf("%s", [t]) | some t in texts(p)}, "parts": {sprintf("%s", [t]) | some part in parts(p); some t in texts(part)}} |
		some p in object.get(s, "products", [])
	]
}

moment(text) := lib.moment(text) if {
	lib.moment(text)
} else := 0

identifiers(v) := {v} if {
	is_string(v)
} else := {v.name} | {alias | some alias in object.get(v, "aliases", [])}

# texts(product) are the names of a product or component: it may be a text itself.
texts(product) := {product} if {
	is_string(product)
} else := {t | t := product["@id"]} | ({t | t := product.identifiers.purl} | {t | t := product.hashes["sha-256"]})

parts(product) := object.get(product, "subcomponents", []) if {
	is_object(product)
} else := []

# A statement without products is about what it is attested of.
applies(s, _) if count(s.products) == 0

# The image is named by its digest, or by that of an index that has it.
applies(s, name) if {
	some product in s.products
	some text in product.texts
	some digest in digests
	contains(text, digest)
	covers(product.parts, name)
}

# A statement may be about the package itself, wherever it lies.
applies(s, name) if {
	some product in s.products
	some text in product.texts
	same_package(text, name)
}

covers(parts, _) if count(parts) == 0

covers(parts, name) if {
	some text in parts
	same_package(text, name)
}

digests contains split(input.subject.digest, ":")[1]

digests contains split(parent, ":")[1] if some parent in input.subject.parents

same_package(text, name) if {
	text == name
	name != ""
}

same_package(text, name) if {
	a := assay.purl.parse(text).value
	b := assay.purl.parse(name).value
	a.type == b.type
	a.name == b.name
	object.get(a, "namespace", "") == object.get(b, "namespace", "")
	object.get(a, "version", "") in {"", object.get(b, "version", "")}
}
