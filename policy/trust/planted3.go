//go:build planted3

package trust

const planted = true
