package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/assay-registry/assay/sbom"
)

// maxRequest bounds what the parent may send: manifest, configuration and small layers.
const maxRequest = 128 << 20

// work serves one request of package sbom and ends.
func work(args []string, in io.Reader, out io.Writer) int {
	f := flag.NewFlagSet("worker", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	var o options
	o.register(f)
	scratch := f.Int64("scratch", 128<<20, "bytes of one temporary file at most")
	if f.Parse(args) != nil || f.NArg() > 0 {
		return exitUsage
	}
	// Before anything of the request is read.
	restrainMemory(o.memory)
	if err := sandbox(o.memory, o.timeout, *scratch, os.TempDir()); err != nil {
		return fail(out, fmt.Errorf("the sandbox could not be set up: %w", err))
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	result, formats, err := answer(ctx, in, out, o.memory)
	if err != nil {
		return fail(out, err)
	}
	b, err := json.Marshal(sbom.WorkerResult{Summary: result.summary, Formats: formats})
	if err == nil {
		err = sbom.WriteFrame(out, sbom.FrameResult, b)
	}
	for _, d := range result.documents {
		if err == nil {
			err = sbom.WriteFrame(out, sbom.FrameDocument, d)
		}
	}
	if err != nil {
		return exitInternal
	}
	return exitOK
}

// answer reads the request and makes its documents, or the view of one layer. Views are written before any cataloguer runs. A panic is an answer too.
func answer(ctx context.Context, in io.Reader, out io.Writer, memory int64) (result *output, formats []sbom.Format, err error) {
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, fmt.Errorf("the generator failed: %.200s", fmt.Sprint(p))
		}
	}()
	kind, payload, err := sbom.ReadFrame(in, maxRequest)
	if err != nil {
		return nil, nil, fmt.Errorf("the request could not be read: %w", err)
	}
	var r sbom.WorkerRequest
	if kind != sbom.FrameRequest {
		return nil, nil, errors.New("the first frame is no request")
	}
	if err := json.Unmarshal(payload, &r); err != nil {
		return nil, nil, fmt.Errorf("the request could not be read: %w", err)
	}
	if r.Version != sbom.ProtocolVersion {
		return nil, nil, refuse("assay-sbom speaks version %d of its protocol and was asked in version %d; install the one that came with the registry", sbom.ProtocolVersion, r.Version)
	}
	j := job{repository: string(r.Repository), subject: r.Subject, manifest: r.Manifest, config: r.Config, formats: r.Formats, limits: defaultLimits(memory)}
	for _, l := range r.Layers {
		j.layers = append(j.layers, handed(l.FD, l.Inline))
		v := layerView{wanted: l.WantView}
		if l.View != nil {
			v.stored, v.size, v.digest = handed(l.View.FD, l.View.Inline), l.View.Size, l.View.Digest
		}
		j.views = append(j.views, v)
	}
	j.emit = func(layer int, view []byte) error {
		return sbom.WriteFrame(out, sbom.FrameView, append(binary.BigEndian.AppendUint32(nil, uint32(layer)), view...))
	}
	j.found = func(b []byte) error { return sbom.WriteFrame(out, sbom.FrameFound, b) }
	j.scanned = func() error { return sbom.WriteFrame(out, sbom.FrameScanned, nil) }
	ctx, p, err := prepare(ctx)
	if err != nil {
		return nil, nil, err
	}
	if r.Index {
		return &output{}, nil, index(ctx, p, r, j)
	}
	result, err = generate(ctx, p, j)
	return result, r.Formats, err
}

// index makes the view of a layer that belongs to no image yet, and then what is found in single files of it.
func index(ctx context.Context, p *plan, r sbom.WorkerRequest, j job) error {
	if len(j.layers) != 1 {
		return errors.New("one layer is indexed at a time")
	}
	view, im, err := indexLayer(ctx, p, blob{digest: string(r.Subject.Digest), size: r.Subject.Size, content: j.layers[0]}, j.limits)
	if err != nil || view == nil {
		return err
	}
	if err := j.emit(0, view); err != nil {
		return err
	}
	if found := findInFiles(ctx, im); len(found) > 0 {
		return j.found(found)
	}
	return nil
}

// handed is what the parent handed over: a file by its descriptor, or bytes.
func handed(fd int, inline []byte) io.ReaderAt {
	if fd > 2 {
		return os.NewFile(uintptr(fd), "content")
	}
	return bytes.NewReader(inline)
}

// fail writes the failure and returns the exit code.
func fail(out io.Writer, err error) int {
	f := sbom.WorkerFailure{Reason: err.Error(), BadView: errors.Is(err, errView)}
	code := exitInternal
	if r, ok := asRefusal(err); ok {
		f.Reason, f.Final, code = r.reason, true, exitRefused
	}
	if b, err := json.Marshal(f); err == nil {
		_ = sbom.WriteFrame(out, sbom.FrameFailure, b) // the exit code tells the rest
	}
	return code
}
