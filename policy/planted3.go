//go:build planted3

package policy

const planted = 3
