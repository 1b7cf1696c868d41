// Package triage sorts findings of a report by the rules of a policy: those that are excused, those that are new, and those that are left. It sorts them as they came, or as terms, to the same; what a
// policy reads of the answer is made when it is asked for. Whose statements are to be believed is said in the rules.
package triage
