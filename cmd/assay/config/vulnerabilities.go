package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/assay-registry/assay/cmd/assay/settings"
	"github.com/assay-registry/assay/sbom/vulndb"
	"github.com/assay-registry/assay/store"
)

// Vulnerabilities say where what is known about packages comes from.
type Vulnerabilities struct {
	MaxAge    settings.Duration `yaml:"max_age" doc:"From which age on a database is complained of: in the log of assay doctor, in the status and in the metrics. 0 never complains. Whether images are denied is a policy's question (its parameter db_days)."`
	Databases []VulnDatabase    `yaml:"databases" doc:"Databases that are followed: artifacts of this registry, as assay vulndb push makes them. Others are imported by hand."`
}

// VulnDatabase is one database that is followed.
type VulnDatabase struct {
	Name      string `yaml:"name" need:"yes" doc:"What the database is called here."`
	Artifact  string `yaml:"artifact" need:"yes" doc:"REPOSITORY:TAG of this registry. When the tag moves to a newer revision, that is imported."`
	Authority string `yaml:"authority" need:"yes" doc:"Name of the authority whose signature on the artifact counts. It must speak for the repository that holds it."`
}

// maxDatabases is how many databases may be followed.
const maxDatabases = 64

// Source is the repository and the tag that the database comes from.
func (d VulnDatabase) Source() (store.Name, string, error) { return ParseOCI(d.Artifact) }

func (v *validator) vulnerabilities() {
	c := v.c.Vulnerabilities
	if c.MaxAge != 0 {
		v.within("vulnerabilities.max_age", c.MaxAge, time.Hour, 10*year)
	}
	if len(c.Databases) > maxDatabases {
		v.fail("vulnerabilities.databases", "put several sources into one database: assay vulndb push --from A --from B", "has more than %d databases", maxDatabases)
	}
	names, artifacts := map[string]int{}, map[string]int{}
	for i, d := range c.Databases {
		path := fmt.Sprintf("vulnerabilities.databases[%d]", i)
		if err := vulndb.CheckName(d.Name); d.Name != "" && err != nil {
			v.fail(path+".name", "", "%s", message(err))
		}
		v.unique(path+".name", d.Name, names, i)
		v.unique(path+".artifact", d.Artifact, artifacts, i)
		v.vulnDatabase(path, d)
	}
}

// vulnDatabase checks where a database comes from, and who vouches for it.
func (v *validator) vulnDatabase(path string, d VulnDatabase) {
	if d.Artifact == "" || d.Authority == "" {
		return // known already
	}
	repo, _, err := d.Source()
	if err != nil {
		v.fail(path+".artifact", "write one of this registry, such as security/vulndb:latest", "%q is no REPOSITORY:TAG", settings.Clip(d.Artifact))
	}
	known := slices.IndexFunc(v.c.Authorities, func(a Authority) bool { return a.Name == d.Authority })
	switch {
	case known < 0:
		v.fail(path+".authority", "name one of authorities", "there is no such authority %q", settings.Clip(d.Authority))
	case v.c.Authorities[known].Kind == "tuf":
		v.fail(path+".authority", "name an authority that signs artifacts, of another kind", "%q is a TUF repository, which signs no databases", settings.Clip(d.Authority))
	case err == nil && !Globs(v.c.Authorities[known].Repositories).Match(repo):
		v.fail(path+".authority", "add it to the repositories of the authority", "%q does not speak for %s", settings.Clip(d.Authority), repo)
	}
}
