package advisory

// Unaligned has versions compared one by one, however many are asked about.
func (p *Prepared) Unaligned() { p.asked = lineAfter }
