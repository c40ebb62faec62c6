package margo

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// Quantities of memory and storage (Margo 1.0.0-rc.3, CapacityRequirements).
// The specification bounds no length; 18 digits are more bytes than exist.
var (
	memoryQuantity  = lazyregexp.New(`^[0-9]{1,18}(Ki|Mi|Gi)$`)
	storageQuantity = lazyregexp.New(`^[0-9]{1,18}(Ki|Mi|Gi|Ti|Pi|Ei)$`)
)

// parseQuantity reads a number of bytes such as "10Gi". Ei overflows 64 bits,
// hence a big.Int.
func parseQuantity(s string) (*big.Int, error) {
	if !storageQuantity.MatchString(s) {
		return nil, fmt.Errorf("%.40q is not a quantity such as 512Mi", s)
	}
	number, unit := s[:len(s)-2], s[len(s)-2:len(s)-1]
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return nil, err
	}
	shift := uint(strings.Index("KMGTPE", unit)+1) * 10
	return new(big.Int).Lsh(new(big.Int).SetUint64(n), shift), nil
}
