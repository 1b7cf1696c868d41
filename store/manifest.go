package store

// MaxManifest is the most bytes of a manifest, as the distribution specification recommends; more is CodeManifestTooBig.
const MaxManifest = 4 << 20

// The manifest types that the registry takes.
const (
	TypeImage       = "application/vnd.oci.image.manifest.v1+json"
	TypeIndex       = "application/vnd.oci.image.index.v1+json"
	TypeDockerImage = "application/vnd.docker.distribution.manifest.v2+json"
	TypeDockerList  = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// Parsed is what a manifest says, read once and strictly by [ParseManifest].
type Parsed struct {
	MediaType    string // the stored type: the body's mediaType, or the Content-Type where the body has none
	ArtifactType string // as the referrers API shows it: artifactType, else config.mediaType of an image manifest
	Config       *Descriptor
	Layers       []Descriptor // of an image manifest
	Manifests    []Descriptor // entries of an index whose media type is a manifest type
	Blobs        []Descriptor // entries of an index of any other type: blob references
	Subject      *Descriptor
	Annotations  map[string]string
}

// Index reports whether the manifest is an index or a Docker manifest list.
func (p *Parsed) Index() bool { return p.MediaType == TypeIndex || p.MediaType == TypeDockerList }
