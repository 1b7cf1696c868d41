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
