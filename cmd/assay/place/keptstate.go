package place

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of a data directory in which a server writes down how things stand, for the doctor, who cannot open the store of a running server.
const (
	StateTrust     = "trust.json"    // the TUF repositories
	StatePolicies  = "policies.json" // the policies, and where they come from
	StateDatabases = "vulndb.json"   // the databases of vulnerabilities
	StateSBOMs     = "sbom.json"     // what there is to do about SBOMs
	StateGlass     = "glass.json"    // the waivers of every code
)

// MaxState bounds what is read of most of them, in bytes.
const MaxState = 16 << 20

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
		err = fmt.Errorf("%s is too large; remove it", path)
	}
	if err != nil {
		return true, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return true, err
	}
	return true, json.Unmarshal(text, state)
}
