// Package pack writes numbers, texts and times one after the other, as records of the store, packed where that helps, and reads them again: whatever is damaged ends the reading and is
// told once, at the end.
package pack
