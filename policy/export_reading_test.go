package policy

import (
	"context"

	"github.com/assay-registry/assay/policy/turns"
)

// FillReading takes all turns to read SBOMs for people, until free is called.
func (a *Admission) FillReading() (free func()) { return fill(a.reading, readings) }

// FillAnswering takes all turns to answer questions about contents, until free is called.
func (a *Admission) FillAnswering() (free func()) { return fill(a.answering, answers) }

// Asking is how many questions about contents wait.
func (a *Admission) Asking() int { return a.answering.Waiting() }

// Reading is how many wait to have an SBOM read.
func (a *Admission) Reading() int { return a.reading.Waiting() }

// fill takes all n turns, in the name of somebody else, until free is called.
func fill(t *turns.Queue, n int) (free func()) {
	for range n {
		if err := t.Take(context.Background(), "somebody else"); err != nil {
			panic(err)
		}
	}
	return func() {
		for range n {
			t.Leave()
		}
	}
}
