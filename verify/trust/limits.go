package trust

// The limits of a TUF repository, in bytes and counts. What exceeds one is refused with ErrTooBig or ErrTooMany.
const (
	MaxRoot      = 512 << 10 // a root.json
	MaxTimestamp = 16 << 10  // a timestamp.json
	MaxSnapshot  = 2 << 20   // a snapshot.json
	MaxTargets   = 16 << 20  // the metadata of one targets role

	MaxRotations  = 256      // roots that one refresh follows
	MaxRoles      = 1024     // targets roles that one refresh reads, the top-level one included
	MaxEdges      = 4096     // delegations that one refresh follows: a role counts once for each that delegates to it
	MaxDepth      = 16       // delegations between the top-level targets role and another
	MaxDelegated  = 64 << 20 // the metadata of all targets roles together
	MaxPins       = 100_000  // targets that pin tags
	MaxKeys       = 1024     // keys of a root or of one role's delegations
	MaxSignatures = 64       // signatures of one metadata file
	MaxName       = 1024     // bytes of a role's name or a pattern; a longer target name is no pin
	MaxProblems   = 64       // sentences in verify.TUFState.Problems

	MaxFile  = 1 << 20  // one target under trust/ or policies/
	MaxFiles = 256      // such targets
	MaxTotal = 16 << 20 // such targets together

	MaxOCILayers  = 1000     // layers of the manifest that holds a repository
	MaxRepository = 64 << 20 // a repository in one manifest or archive
	MaxTarEntries = 4096     // entries of an archive
)
