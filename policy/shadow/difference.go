package shadow

// Difference is what another policy set would make of one manifest or tag.
type Difference string

// The differences. Hidden and shown are about tags: what they point to, or the entry point tag, decides otherwise.
const (
	NewlyDenied  Difference = "newly_denied"
	NewlyAllowed Difference = "newly_allowed"
	OtherReason  Difference = "other_reason"
	TagHidden    Difference = "tag_hidden"
	TagShown     Difference = "tag_shown"
)
