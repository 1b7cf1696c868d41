package access

// User is what may be told of a user: who it is and what it was granted, never a secret.
type User struct {
	Name   string
	Origin string  // OriginHtpasswd or OriginRuntime
	Grants []Grant // of the configuration and its own; not what everybody has
}

// Where a user comes from.
const (
	OriginHtpasswd = "htpasswd" // the file; only the file changes it
	OriginRuntime  = "runtime"  // made through the administration API, or at the first start
)
