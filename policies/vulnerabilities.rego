# METADATA
# scope: package
# title: vulnerabilities
# description: |
#   Admits an image when a report about its vulnerabilities is there, young enough, and has no more findings than are allowed. A report is one that an accepted authority attested
#   (cosign's vulnerability record, in-toto vulns), or what the registry matched itself, of which it is asked to know the contents. Of several scanners each must be content; of one, the
#   newest report counts. Findings are excused by a VEX statement, by an entry of the list that is not over, or while they are new. What a report does not name cannot be excused.
#   An index is judged by its children.
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
#       description: "whose reports count, of the authorities whose attests names vulnerabilities; none means any of them"
#     vex:
#       type: string
#       enum: [respect, ignore]
#       default: respect
#       description: whether VEX statements (OpenVEX, CycloneDX) that say not_affected, with a reason, or fixed excuse findings
#     vex_authorities:
#       type: array
#       items: {type: string, not: {enum: [registry, ""]}}
#       default: []
#       description: "whose statements count, of the authorities whose attests names vex; none means any of them. Of several the one that the configuration names first decides"
#     uncovered:
#       type: string
#       enum: [refuse, systems, allow]
#       default: refuse
#       description: "what becomes of an image with packages that no database of the registry speaks of, where no scan is attested: refuse it; or only where they are its system's (deb, rpm, apk, alpm), or it does not tell its distribution (systems)"
#     unlooked:
#       type: array
#       items: {type: string}
#       default: []
#       description: "ecosystems of languages that no database needs to speak of, such as npm"
#     ignore:
#       type: array
#       default: []
#       description: findings that are known and borne until a day
#       items:
#         type: object
#         required: [id, expires, reason]
#         properties:
#           id: {type: string, pattern: "^[A-Za-z0-9:._-]+$", description: "such as CVE-2026-1234; of what the registry matched, an alias does as well"}
#           expires: {type: string, pattern: "^2[01][0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z$", description: when the entry ends, in UTC}
#           package: {type: string, default: "**", description: "exact or a glob over the package as the report names it ('*' within a component, '**' across)"}
#           reason: {type: string, pattern: ".", description: for people}
package assay

import data.assay.lib

admit.deny contains reason if {
	input.subject.kind == "image"
	some reason in reasons
}

# Without an SBOM there is nothing to match. Asking again after a final failure would ask for ever.
admit.obligations contains {"type": "generate_sbom"} if {
	input.subject.kind == "image"
	"matched" in input.params.origins
	count(own) == 0
	not generated
}

generated if "generated" in input.sbom.origins

generated if input.sbom.failed != ""

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
reports := [r | some list in [[a | some a in attested; countable(a)], own]; some r in list]

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
	"msg": sprintf("%s has no report about vulnerabilities that counts here (%s)%s%s.", [lib.label, concat(" or ", input.params.origins), unmatched, barred("vulnerabilities", scans)]),
	"remedy": remedies[input.params.origins[0]],
} if {
	count(reports) == 0
	count(unreadable) == 0
}

# Why the registry has no matches of its own.
unmatched := sprintf("; %s", [input.vulnerabilities.unmatched]) if {
	"matched" in input.params.origins
	input.vulnerabilities.unmatched != ""
} else := ""

# Who attested what their authority is not trusted for.
barred(what, types) := sprintf("; what %s attested counts where attests of that authority names %s", [concat(", ", who), what]) if {
	who := {a.authority | some a in input.attestations; a.code == "signature.out_of_scope"; some t in types; lib.matches(t, a.predicate_type)}
	count(who) > 0
} else := ""

update := sprintf("update what is affected, or say by a VEX statement why it is not%s", [barred("vex", ["https://openvex.dev/ns", "https://openvex.dev/ns/*", "https://openvex.dev/ns@*"])])

remedies := {
	"attested": "scan it and attest the report: cosign attest --type vuln --predicate scan.json",
	"matched": "import a database (assay vulndb import); assay vulns says what else is missing",
}

# Nothing is found in what nobody speaks of. A scanner that attests a report answers for that itself.
reasons contains {
	"code": "vuln.uncovered",
	"msg": sprintf("%s has packages of %s, of which no vulnerability database of this registry speaks: nothing can be found in them.", [lib.label, lib.clipped(concat(", ", input.vulnerabilities.uncovered_systems))]),
	"remedy": "install a database that speaks of that distribution and release (assay vulndb status says what there is), keep /etc/os-release in the image, or attest a scan",
} if {
	input.params.uncovered in {"refuse", "systems"}
	count(own) > 0
	count(reports) == count(own)
	count(input.vulnerabilities.uncovered_systems) > 0
}

reasons contains {
	"code": "vuln.uncovered_language",
	"msg": sprintf("%s has packages of %s, of which no vulnerability database of this registry speaks: nothing can be found in them.", [lib.label, lib.clipped(concat(", ", languages))]),
	"remedy": "install a database that speaks of them (assay vulndb status says what there is), attest a scan, or name those that need none in the parameter unlooked",
} if {
	input.params.uncovered == "refuse"
	count(own) > 0
	count(reports) == count(own)
	count(languages) > 0
}

# The languages that no database speaks of, and how many packages each has.
languages := [sprintf("%s (%d)", [name, object.get(input.vulnerabilities, ["uncovered_packages", name], 0)]) |
	some name in input.vulnerabilities.uncovered_languages
	not name in input.params.unlooked
]

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

ago(ends, i, limit) := sprintf("%d days ago", [lib.whole_days(time.now_ns() - ends[i]) + limit]) if {
	ends[i]
} else := "at a time that nobody says"

reasons contains {
	"code": "vuln.threshold",
	"msg": sprintf("%s has too many findings, %s (%s): %s.", [lib.label, excess(over(r, now(r))), by(r), names(sorted(r).left.ids)]),
	"remedy": update,
	"evidence": evidence(r),
} if {
	some r in reports
	noticed(r)
	count(over(r, now(r))) > 0
}

# What is new enough to be borne for now refuses on the day when the first of it is not.
reasons contains {
	"code": "vuln.threshold",
	"msg": sprintf("%s has too many findings, %s (%s), not refused yet because they are new: %s.", [lib.label, excess(over(r, later(r))), by(r), names(sorted(r).ids)]),
	"remedy": update,
	"evidence": evidence(r),
	"effective_on": time.format(sorted(r)["new"].until),
} if {
	input.params.grace_days > 0
	some r in reports
	noticed(r)
	count(over(r, now(r))) == 0
	count(over(r, later(r))) > 0
}

# Where nothing has too many of what the report has at all, its findings need not be looked at.
noticed(r) if {
	some severity in input.params.severities
	total(r, severity) > object.get(input.params.allowed, severity, 0)
}

# The findings that it names, by what becomes of them: excused for good, new, or left. Two of the same name are two.
sorted(r) := assay.findings(object.get(r.summary, "top", []), {
	"severities": input.params.severities, "fixable_only": input.params.fixable_only,
	"grace_days": input.params.grace_days, "ignore": input.params.ignore, "now": time.now_ns(),
	"vex": input.params.vex, "vex_authorities": input.params.vex_authorities,
}).value

# What does not count now, and what will not when nothing is new any more.
now(r) := [sorted(r).excused.counts, sorted(r)["new"].counts]

later(r) := [sorted(r).excused.counts]

# total is how many findings of a severity the report has; what it says of fixes counts only where that is asked for.
total(r, severity) := object.get(r.summary, ["counts", severity], 0) if {
	input.params.fixable_only == false
} else := object.get(object.get(r.summary, "fixable", object.get(r.summary, "counts", {})), severity, 0)

over(r, excuses) := {severity: n |
	some severity in input.params.severities
	n := total(r, severity) - sum([object.get(counts, severity, 0) | some counts in excuses])
	n > object.get(input.params.allowed, severity, 0)
}

excess(counts) := concat(" and ", [sprintf("%d %s", [counts[severity], severity]) | some severity in input.params.severities])

names(ids) := lib.clipped(concat(", ", ids)) if {
	count(ids) > 0
} else := "the report does not name them"
