package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/store"
	"github.com/open-policy-agent/opa/v1/bundle"
)

// Limits of a bundle. What is larger is refused before it was unpacked.
const (
	MaxSize     = 8 << 20  // bytes, compressed
	maxUnpacked = 32 << 20 // bytes, with everything that tar adds
	maxFile     = 4 << 20  // bytes
	maxFiles    = 256
	maxPath     = 255 // bytes
)

// The files of a bundle that are no modules (Open Policy Agent, "Bundles").
const (
	fileManifest   = ".manifest"
	fileSignatures = ".signatures.json"
	// DataFile holds parameters by the name of the policy, over which those of the configuration win.
	DataFile = "data.json"
)

// defaultPlugin is the name under which Open Policy Agent writes that a signature is verified as its documentation says.
const defaultPlugin = "_default"

// Bundle is policies as Open Policy Agent packs them.
type Bundle struct {
	Files map[string]string // modules, and data.json, by path
	// Revision is the manifest's, a decimal number of 1 and up; 0 without one.
	Revision uint64
	all      map[string][]byte // every file as it came
}

// Read unpacks a bundle (tar.gz) within its limits. Every path stays inside; links, devices, names that are there twice and files that no policy
// consists of are errors. Nothing is proven by that: see [Bundle.Verify].
func Read(r io.Reader) (*Bundle, error) {
	packed := &io.LimitedReader{R: r, N: MaxSize + 1}
	z, err := gzip.NewReader(packed)
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "it is no bundle: not compressed with gzip")
	}
	z.Multistream(false)
	unpacked := &io.LimitedReader{R: z, N: maxUnpacked + 1}
	b := &Bundle{Files: map[string]string{}, all: map[string][]byte{}}
	for archive := tar.NewReader(unpacked); ; {
		h, err := archive.Next()
		ended := errors.Is(err, io.EOF)
		switch {
		case err == nil:
			err = b.add(h, archive)
		case ended:
			err = nil
		default:
			err = store.Errorf(store.CodeInvalid, "it is no bundle: the archive is damaged")
		}
		switch {
		case packed.N <= 0 || unpacked.N <= 0:
			return nil, store.Errorf(store.CodeInvalid, "a bundle has at most %d MiB, and %d unpacked", MaxSize>>20, maxUnpacked>>20)
		case err != nil:
			return nil, err
		case ended:
			return b, b.interpret()
		}
	}
}

func (b *Bundle) add(h *tar.Header, content io.Reader) error {
	name := strings.TrimPrefix(strings.TrimPrefix(h.Name, "."), "/")
	if strings.HasPrefix(h.Name, ".") && !strings.HasPrefix(h.Name, "./") {
		name = h.Name // .manifest
	}
	switch {
	case h.Typeflag == tar.TypeDir && (name == "" || fs.ValidPath(strings.TrimSuffix(name, "/"))):
		return nil
	case !fs.ValidPath(name) || len(name) > maxPath || strings.ContainsAny(name, "\\:\x00") || sentence.Clean(name, maxPath) != name:
		return store.Errorf(store.CodeInvalid, "the bundle holds a file %q, whose name leads elsewhere", sentence.Clean(h.Name, 80))
	case h.Typeflag != tar.TypeReg:
		return store.Errorf(store.CodeInvalid, "the bundle holds %s, which is no plain file", name)
	case h.Size > maxFile:
		return store.Errorf(store.CodeInvalid, "the bundle's %s has more than %d MiB", name, maxFile>>20)
	case len(b.all) == maxFiles:
		return store.Errorf(store.CodeInvalid, "the bundle holds more than %d files", maxFiles)
	case b.all[name] != nil:
		return store.Errorf(store.CodeInvalid, "the bundle holds %s twice", name)
	}
	text, err := io.ReadAll(io.LimitReader(content, maxFile))
	if err != nil || int64(len(text)) != h.Size {
		return store.Errorf(store.CodeInvalid, "it is no bundle: the archive is damaged")
	}
	b.all[name] = append([]byte{}, text...)
	return nil
}

// interpret sorts the files.
func (b *Bundle) interpret() error {
	for name, text := range b.all {
		switch {
		case name == fileSignatures:
		case name == fileManifest:
			if err := b.manifest(text); err != nil {
				return err
			}
		case path.Ext(name) == ".rego", name == DataFile:
			b.Files[name] = string(text)
		default:
			return store.Errorf(store.CodeInvalid, "the bundle holds %s: it consists of modules (*.rego), %s, %s and %s", name, DataFile, fileManifest, fileSignatures)
		}
	}
	if len(b.Files) == 0 {
		return store.Errorf(store.CodeInvalid, "the bundle holds no module (*.rego)")
	}
	return nil
}

func (b *Bundle) manifest(text []byte) error {
	if err := store.StrictJSON(text); err != nil {
		return store.Errorf(store.CodeInvalid, "the bundle's %s: %s", fileManifest, err)
	}
	var m struct {
		Revision string `json:"revision"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return store.Errorf(store.CodeInvalid, "the bundle's %s is not what Open Policy Agent writes", fileManifest)
	}
	if m.Revision == "" {
		return nil
	}
	var err error
	b.Revision, err = ParseRevision(m.Revision)
	return err
}

// ParseRevision reads a revision: a decimal number of 1 and up, in its one spelling.
func ParseRevision(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != text {
		return 0, store.Errorf(store.CodeInvalid, "the revision %q is no decimal number of 1 and up, by which one sees what is newer", sentence.Clean(text, 40))
	}
	return n, nil
}

// Verify holds a bundle against its signature (.signatures.json), under one public key in PEM: every file that there is, and none besides, is signed.
func (b *Bundle) Verify(keyPEM []byte) error {
	text, ok := b.all[fileSignatures]
	if !ok {
		return store.Errorf(store.CodeInvalid, "the bundle is not signed; sign it: opa sign --bundle, or write bundle_key: unsigned")
	}
	var s bundle.SignaturesConfig
	if store.StrictJSON(text) != nil || json.Unmarshal(text, &s) != nil || len(s.Signatures) != 1 || s.Plugin != "" && s.Plugin != defaultPlugin {
		return store.Errorf(store.CodeInvalid, "the bundle's %s has not exactly one signature", fileSignatures)
	}
	algorithm, err := algorithmOf(keyPEM, s.Signatures[0])
	if err != nil {
		return err
	}
	const id = "key"
	config := bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{id: {Key: string(keyPEM), Algorithm: algorithm}}, id, "", nil)
	files, err := (&bundle.DefaultVerifier{}).VerifyBundleSignature(s, config)
	if err != nil {
		return store.Errorf(store.CodeInvalid, "the bundle's signature does not verify under bundle_key: %s", sentence.Clean(err.Error(), 200))
	}
	for _, name := range slices.Sorted(maps.Keys(b.all)) {
		if name == fileSignatures {
			continue
		}
		if f := files[name]; f.Name != "" && f.Algorithm != "SHA-256" && f.Algorithm != "SHA-384" && f.Algorithm != "SHA-512" {
			return store.Errorf(store.CodeInvalid, "the bundle's signature names %s by %q, and not by SHA-256 or better", name, sentence.Clean(f.Algorithm, 20))
		}
		if err := bundle.VerifyBundleFile(name, *bytes.NewBuffer(b.all[name]), files); err != nil {
			return store.Errorf(store.CodeInvalid, "the bundle's %s is not what was signed", name)
		}
	}
	if len(files) > 0 {
		return store.Errorf(store.CodeInvalid, "the bundle lacks %s, which was signed", slices.Sorted(maps.Keys(files))[0])
	}
	return nil
}

// algorithmOf is the algorithm that a token names, if the key can have made it: the token does not choose how it is verified.
func algorithmOf(keyPEM []byte, token string) (string, error) {
	head, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	var h struct {
		Algorithm string `json:"alg"`
	}
	if err != nil || store.StrictJSON(text) != nil || json.Unmarshal(text, &h) != nil {
		return "", store.Errorf(store.CodeInvalid, "the bundle's signature is no token (JWT)")
	}
	may, err := AlgorithmsOf(keyPEM)
	if err != nil {
		return "", err
	}
	if !slices.Contains(may, h.Algorithm) {
		return "", store.Errorf(store.CodeInvalid, "the bundle's signature is of the algorithm %q, and bundle_key makes %s", sentence.Clean(h.Algorithm, 20), strings.Join(may, ", "))
	}
	return h.Algorithm, nil
}

// AlgorithmsOf are the algorithms (RFC 7518, RFC 8037) of signatures under a public key in PEM.
func AlgorithmsOf(keyPEM []byte) ([]string, error) {
	block, _ := pem.Decode(keyPEM)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, store.Errorf(store.CodeInvalid, "it is no public key in PEM (BEGIN PUBLIC KEY)")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "it is no public key that is understood: %w", err)
	}
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if may, ok := map[int][]string{256: {"ES256"}, 384: {"ES384"}, 521: {"ES512"}}[k.Curve.Params().BitSize]; ok {
			return may, nil
		}
	case *rsa.PublicKey:
		if k.N.BitLen() >= 2048 {
			return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, nil
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}, nil
	}
	return nil, store.Errorf(store.CodeInvalid, "it is no key of ECDSA (P-256, P-384, P-521), RSA (2048 bits and up) or Ed25519")
}

// Pack makes a bundle of modules and data.json: the same bytes for the same files. It is not signed.
func Pack(files map[string]string, revision uint64) ([]byte, error) {
	manifest, err := json.Marshal(map[string]any{"revision": strconv.FormatUint(revision, 10), "roots": []string{"assay"}})
	if err != nil {
		return nil, err
	}
	all := maps.Clone(files)
	all[fileManifest] = string(manifest)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	archive := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(all[name])), Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if _, err := io.WriteString(archive, all[name]); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(archive.Close(), z.Close()); err != nil {
		return nil, err
	}
	if _, err := Read(bytes.NewReader(packed.Bytes())); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}
