// Package waiverkeep is the waivers that somebody who may sign them signed, as they are kept: each document with the statements of it that prove something, by whom it counts at some
// moment, and what is in doubt where that changes. A [Book] never changes once its snapshot of trust was sealed; a change is a copy.
//
// What a waiver says, and what it takes out of a decision, is in package waiver. Where one arrived is of no consequence.
package waiverkeep
