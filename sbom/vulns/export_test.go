package vulns

import "context"

// Sweep looks at every package version.
func (x *Matcher) Sweep(ctx context.Context) { x.sweep(ctx, 0) }

// Space is where everything lies.
const Space = space
