// Package census counts what the registry holds, of what a caller could GET: manifests, signatures, SBOMs, licences and findings, by repository. It reads in parts, so that no view is held
// for long, and says how far it came where there is more than one answer looks at.
package census
