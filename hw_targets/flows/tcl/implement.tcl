# Placement, routing, reports and bitstream. Arguments: directives of placement and of routing, and
# whether a design that misses its clock is taken all the same.
source settings.tcl
lassign $argv placing routing allow_missed_clock

open_checkpoint synthesized.dcp
opt_design
place_design -directive $placing
phys_opt_design
route_design -directive $routing
report_utilization -file utilization.rpt
report_utilization -hierarchical -hierarchical_depth 4 -file hierarchy.rpt
report_timing_summary -delay_type min_max -max_paths 10 -file timing.rpt
report_power -file power.rpt

# A hold violation is one at any clock.
foreach {kind option allowed} [list setup -setup $allow_missed_clock hold -hold 0] {
    set path [get_timing_paths $option -max_paths 1 -nworst 1]
    set slack [expr {[llength $path] ? [get_property SLACK $path] : ""}]
    if {![string is double -strict $slack]} {
        error "ERROR: no path is timed by $kind: the design has no clock"
    }
    if {$slack < 0 && !$allowed} {
        error "ERROR: clock missed: worst $kind slack $slack ns at $clock_mhz MHz, placed by\
            $placing, routed by $routing; timing.rpt has the paths"
    }
}
write_bitstream -force design.bit
