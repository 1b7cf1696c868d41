package verify

// PredicateWaiver is the predicate type of a waiver: an in-toto statement whose predicate is the waiver's document.
const PredicateWaiver = "urn:assay:waiver:v1"
