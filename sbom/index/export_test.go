package index

// SetBatch sets how many images one commit of the fold takes in: a load of 100,000 is no server that must answer meanwhile.
func (x *Index) SetBatch(images, versions int) { x.images, x.versions = images, versions }
