package doctor

import (
	"context"
	"fmt"
	"os"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
)

// filesGuarded looks who else may change what the registry goes by, and read what passwords can be guessed from.
func filesGuarded(_ context.Context, _ *cli.App, cfg *config.Config) []finding {
	var found []finding
	files := cfg.Files()
	for _, path := range files {
		switch info, err := os.Stat(path); {
		case err != nil:
			found = append(found, finding{"files", broken, err.Error()})
		case info.Mode().Perm()&0o002 != 0:
			found = append(found, finding{"files", broken, fmt.Sprintf("%s has mode %04o: everybody on this machine can change it, and with it what is served; chmod o-w", path, info.Mode().Perm())})
		}
	}
	if users := cfg.Auth.HTPasswd; users != "" {
		if info, err := os.Stat(users); err == nil && info.Mode().Perm()&0o004 != 0 {
			found = append(found, finding{"files", warning, fmt.Sprintf("%s has mode %04o: everybody on this machine can read the hashes of passwords; chmod o-r", users, info.Mode().Perm())})
		}
	}
	if len(files) > 0 && len(found) == 0 {
		found = append(found, finding{"files", fine, fmt.Sprintf("%d that the configuration consists of", len(files))})
	}
	return found
}
