package contract

// MaxReferrers is how many referrers of a manifest policies are told of.
const MaxReferrers = 128

// MaxTagHistory is how many moves of a tag are remembered, and policies are told of.
const MaxTagHistory = 50
