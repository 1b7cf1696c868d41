package policy

import "context"

// FillReading takes all turns to read SBOMs for people, until free is called.
func (a *Admission) FillReading() (free func()) {
	return fillTurns(&a.reading)
}

// HoldReports has every report wait until free is called.
func (a *Admission) HoldReports() (free func()) {
	a.counting <- struct{}{}
	return func() { <-a.counting }
}

// FillAnswering takes all turns to answer questions about contents, until free is called.
func (a *Admission) FillAnswering() (free func()) {
	return fillTurns(&a.answering)
}

// Asking is how many questions about contents wait.
func (a *Admission) Asking() int { return a.answering.waits() }

// Reading is how many wait to have an SBOM read.
func (a *Admission) Reading() int { return a.reading.waits() }

func (t *turns) waits() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

// fillTurns takes all turns, in the name of somebody else, until free is called.
func fillTurns(t *turns) (free func()) {
	for range t.atOnce {
		if err := t.take(context.Background(), "somebody else"); err != nil {
			panic(err)
		}
	}
	return func() {
		for range t.atOnce {
			t.leave()
		}
	}
}
