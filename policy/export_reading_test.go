package policy

// FillReading takes all turns to read SBOMs for people, until free is called.
func (a *Admission) FillReading() (free func()) {
	for range readings {
		a.reading <- struct{}{}
	}
	return func() {
		for range readings {
			<-a.reading
		}
	}
}

// HoldReports has every report wait until free is called.
func (a *Admission) HoldReports() (free func()) {
	a.counting <- struct{}{}
	return func() { <-a.counting }
}

// FillAnswering takes all turns to answer questions about contents, until free is called.
func (a *Admission) FillAnswering() (free func()) {
	for range answers {
		a.answering <- struct{}{}
	}
	return func() {
		for range answers {
			<-a.answering
		}
	}
}

// Asking is how many questions about contents wait, or are being answered.
func (a *Admission) Asking() int {
	a.asking.mu.Lock()
	defer a.asking.mu.Unlock()
	return a.asking.n
}
