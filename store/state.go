package store

// State is the state of (repository, digest). The zero value is no state at all: the manifest is unknown.
type State string

// The states. Policy decides which one holds; the store keeps it beside the manifest.
const (
	StateQuarantined State = "quarantined"
	StatePending     State = "pending"
	StateAdmitted    State = "admitted"
	StateExpired     State = "expired"
	StateRevoked     State = "revoked"
	StateTombstoned  State = "tombstoned"
	StateEvidence    State = "evidence" // readable whatever its subject's state; proves nothing by itself
)

// codes of the states and kinds in records: never renumber.
var (
	stateCodes = [...]State{0: "", 1: StateQuarantined, 2: StatePending, 3: StateAdmitted, 4: StateExpired, 5: StateRevoked, 6: StateTombstoned, 7: StateEvidence}
	kindCodes  = [...]Kind{0: "", 1: KindImage, 2: KindIndex, 3: KindArtifact, 4: KindAttestation, 5: KindEvidence}
)

func code[T comparable](table []T, v T) byte {
	for i, t := range table {
		if t == v {
			return byte(i)
		}
	}
	panic("store: a value without code")
}

func decode[T any](table []T, b byte) (v T) {
	if int(b) < len(table) {
		v = table[b]
	}
	return v
}
