package policy

import "github.com/assay-registry/assay/store"

// Planted tells the model test whether it has to find a bug.
const Planted = planted

// ForgetImages is what any change does to the answers that are remembered.
func (a *Admission) ForgetImages() {
	a.images.mu.Lock()
	defer a.images.mu.Unlock()
	a.images.m = nil
}

// CountPull counts one pull.
func CountPull(a *Admission, repo store.Name, d store.Digest) { a.pulls.count(repo, d) }
