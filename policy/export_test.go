package policy

// Planted tells the model test whether it has to find a bug.
const Planted = planted

// ForgetImages is what any change does to the answers that are remembered.
func (a *Admission) ForgetImages() {
	a.images.mu.Lock()
	defer a.images.mu.Unlock()
	a.images.m = nil
}
