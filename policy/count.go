package policy

// counted returns how many different signers satisfy how many different entries
// of a rule, each at most once: an identity that two patterns fit, or two
// signatures by one workflow, must not meet a threshold of two (attack T12).
// fits[s] are the entries that signer s satisfies.
func counted(fits [][]int) int {
	taken := map[int]int{} // entry -> signer
	n := 0
	for s := range fits {
		if assign(s, fits, taken, map[int]bool{}) {
			n++
		}
	}
	return n
}

// assign finds an entry for signer s, moving others where that makes room (an
// augmenting path of a bipartite matching).
func assign(s int, fits [][]int, taken map[int]int, seen map[int]bool) bool {
	for _, entry := range fits[s] {
		if seen[entry] {
			continue
		}
		seen[entry] = true
		holder, held := taken[entry]
		if !held || assign(holder, fits, taken, seen) {
			taken[entry] = s
			return true
		}
	}
	return false
}
