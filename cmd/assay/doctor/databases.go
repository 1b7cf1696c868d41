package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/settings"
	"github.com/assay-registry/assay/server"
)

// databasesFresh says how old the databases are, as the server wrote it down last. Without such a file no server has looked.
func databasesFresh(_ context.Context, a *cli.App, cfg *config.Config) []finding {
	const what = "vulnerabilities"
	var list []server.DatabaseStatus
	kept, err := place.KeptState(cfg.Data, place.StateDatabases, place.MaxState, &list)
	if !kept && len(cfg.Vulnerabilities.Databases) == 0 {
		return nil
	}
	if !kept {
		return []finding{{what, warning, "no server has looked for the databases yet; start one, and see assay vulndb status"}}
	}
	if err != nil {
		return []finding{{what, broken, err.Error()}}
	}
	var found []finding
	for _, s := range list {
		found = append(found, databaseFresh(s, a.Clock(), time.Duration(cfg.Vulnerabilities.MaxAge)))
	}
	return found
}

func databaseFresh(s server.DatabaseStatus, now time.Time, most time.Duration) finding {
	name := "vulnerabilities " + s.Name
	if s.Built.IsZero() {
		return finding{name, broken, "nothing is installed, so that nothing is found: " + s.Error}
	}
	age := max(0, now.Sub(s.Current()))
	detail := fmt.Sprintf("%s old, built %s, revision %d, %d advisories", cli.Days(age), cli.Moment(s.Built), s.Revision, s.Advisories)
	if s.Current().Before(s.Built) {
		detail = fmt.Sprintf("%s old, the oldest of its files of %s, built %s, revision %d, %d advisories", cli.Days(age), cli.Moment(s.Oldest), cli.Moment(s.Built), s.Revision, s.Advisories)
	}
	if s.SignedBy != "" {
		detail += ", signed by " + s.SignedBy
	}
	switch {
	case most > 0 && age > most && s.Error != "":
		return finding{name, warning, fmt.Sprintf("too old (vulnerabilities.max_age is %s): %s; what is there now is not taken: %s", settings.Duration(most), detail, s.Error)}
	case most > 0 && age > most:
		return finding{name, warning, fmt.Sprintf("too old (vulnerabilities.max_age is %s): %s", settings.Duration(most), detail)}
	case s.Error != "":
		return finding{name, warning, fmt.Sprintf("%s; %s stays", s.Error, detail)}
	}
	return finding{name, fine, detail}
}
