package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/assay-registry/assay/sbom/vulns"
)

// Days is an age as people speak of it.
func Days(d time.Duration) string {
	if d < 48*time.Hour {
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd", int(d/(24*time.Hour)))
}

// OldestFile is when the oldest of the files was current that a database was made of; zero where nobody says, or where it is as young as the database.
func OldestFile(d vulns.Database) time.Time {
	if oldest := d.Oldest(); oldest.Before(d.Built) {
		return oldest
	}
	return time.Time{}
}
