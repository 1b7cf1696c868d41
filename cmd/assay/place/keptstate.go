package place

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/inventory"
)

// The files of a data directory in which a server writes down how things stand, for the doctor, who cannot open the store of a running server.
const (
	StateTrust       = "trust.json"       // the TUF repositories
	StateAuthorities = "authorities.json" // the names of the authorities that were added at run time
	StatePolicies    = "policies.json"    // the policies, and where they come from
	StateDatabases   = "vulndb.json"      // the databases of vulnerabilities
	StateSBOMs       = "sbom.json"        // what there is to do about SBOMs
	StateGlass       = "glass.json"       // the waivers of every code
)

// MaxState bounds what is read of most of them, in bytes.
const MaxState = 16 << 20

// MaxSBOMState bounds what is read of the state of SBOMs, in bytes.
const MaxSBOMState = 1 << 20

// SBOMState is what assay sbom status knows, with one failure for all.
type SBOMState struct {
	*policy.SBOMProgress
	Reading int                `json:"reading"`
	Failed  int                `json:"failed"`
	More    bool               `json:"more,omitempty"` // more failed than are counted
	First   *inventory.Failure `json:"first,omitempty"`
	At      time.Time          `json:"at"` // when it became so
}

// KeepState writes one of them in the data directory, durably.
func KeepState(data, name string, state any) error {
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return WriteDurably(filepath.Join(data, name), text, 0o600)
}

// KeptState reads one of them, of at most limit bytes, into state, and reports whether a server wrote it.
func KeptState(data, name string, limit int64, state any) (kept bool, err error) {
	path := filepath.Join(data, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && info.Size() > limit {
		err = fmt.Errorf("%s is too large; remove it, and restart the server, which writes it again", path)
	}
	if err != nil {
		return true, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return true, err
	}
	if err := json.Unmarshal(text, state); err != nil {
		return true, fmt.Errorf("%s is damaged: %w; remove it, and restart the server, which writes it again", path, err)
	}
	return true, nil
}
