// Package config reads the registry's one configuration file.
//
// The file is strict YAML: an unknown key, a key given twice, a value of the wrong type, an alias or a second document is an error that names
// its line and, where one is near, the key or value that was probably meant. Everything is checked before anything starts, and every problem is
// reported at once. The structure [Config] is the only description of the file: the reader, the JSON Schema and the listing of the effective
// configuration are derived from it (package settings).
//
// Relative paths in the file are relative to the file. No value in the file is a secret, but for the addresses of those
// who are notified, which no listing shows whole: keys and passwords are named by path.
package config
