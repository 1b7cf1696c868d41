package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

// workerAnswers has the worker describe an image with one empty layer.
func workerAnswers(ctx context.Context, a *cli.App, cfg *config.Config) []finding {
	if len(cfg.SBOM.Formats) == 0 {
		return []finding{{"sbom worker", fine, "not used: sbom.formats is empty"}}
	}
	w, err := sbom.NewWorker(sbom.WorkerOptions{Path: cfg.SBOM.Worker, Memory: int64(cfg.SBOM.Memory), Timeout: time.Duration(cfg.SBOM.Timeout)})
	if err != nil {
		return []finding{{"sbom worker", warning, err.Error()}}
	}
	request, err := emptyImage(place.Formats(cfg))
	if err != nil {
		return []finding{{"sbom worker", broken, err.Error()}}
	}
	began := a.Clock()
	if _, err := w.Generate(ctx, request); err != nil {
		return []finding{{"sbom worker", broken, fmt.Sprintf("%s: %v", w.Path(), err)}}
	}
	return []finding{{"sbom worker", fine, fmt.Sprintf("%s answers in %s", w.Path(), a.Clock().Sub(began).Round(time.Millisecond))}}
}

// emptyImage is an image of one layer that holds nothing.
func emptyImage(formats []sbom.Format) (sbom.Request, error) {
	layer := make([]byte, 1024) // the end of a tar archive
	content := map[store.Digest][]byte{}
	keep := func(mediaType string, b []byte) store.Descriptor {
		d := store.DigestOf(digest.SHA256, b)
		content[d] = b
		return store.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
	}
	l := keep("application/vnd.oci.image.layer.v1.tar", layer)
	image, err := json.Marshal(map[string]any{
		"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": []store.Digest{l.Digest}}, "config": map[string]any{},
	})
	if err != nil {
		return sbom.Request{}, err
	}
	c := keep("application/vnd.oci.image.config.v1+json", image)
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": store.TypeImage, "config": c, "layers": []store.Descriptor{l}})
	if err != nil {
		return sbom.Request{}, err
	}
	return sbom.Request{
		Repository: "assay/doctor", Subject: keep(store.TypeImage, manifest), Manifest: manifest, Formats: formats,
		Open: func(_ context.Context, d store.Digest) (*store.Blob, error) {
			b, ok := content[d]
			if !ok {
				return nil, store.Errorf(store.CodeBlobUnknown, "the empty image has no such blob")
			}
			return store.InlineBlob(d, b), nil
		},
	}, nil
}
