# First program of a pod's sandbox in gVisor: mounts its writable folders, each with its size, and becomes what its arguments name.
# As volumes the kubelet would mount them, and every start would wait for its next look, 300 ms. Perl, because a user namespace needs
# a process of one thread and every Debian base has it. What it becomes has no capability in that namespace, nor can it get one.
# FNCTL_MOUNTS: `PATH=BYTES ...`; absent: nothing is mounted. Numbers are those of x86_64.
$SIG{TERM} = sub { exit 0 }; # a container's first process is not ended by a signal that it does not handle
my ($UNSHARE, $MOUNT, $PRCTL) = (272, 165, 157);
my ($NEWUSER_NEWNS, $NOSUID_NODEV, $CAPBSET_DROP, $EINVAL) = (0x10020000, 6, 24, 22);

my $mounts = delete $ENV{FNCTL_MOUNTS};
if (defined $mounts) {
    my ($uid, $gid) = ($> + 0, $) + 0);
    syscall($UNSHARE, $NEWUSER_NEWNS) == 0 or die "unshare: $!\n";
    say_to('/proc/self/setgroups', 'deny');
    say_to('/proc/self/uid_map', "$uid $uid 1");
    say_to('/proc/self/gid_map', "$gid $gid 1");
    for (split / /, $mounts) {
        /^(\/[a-z\/]+)=([1-9][0-9]*)$/ or die "FNCTL_MOUNTS: $_\n";
        # `syscall` takes strings that could be written to only.
        my ($tmpfs, $path, $options) = ('tmpfs', $1, "size=$2,mode=" . ($1 eq '/function' ? '0755' : '1777'));
        syscall($MOUNT, $tmpfs, $path, $tmpfs, $NOSUID_NODEV, $options) == 0 or die "mount $path: $!\n";
    }
    for (0 .. 63) {
        next if syscall($PRCTL, $CAPBSET_DROP, $_, 0, 0, 0) == 0;
        last if $_ > 0 && $! + 0 == $EINVAL; # there are no more
        die "drop capability $_: $!\n";
    }
}
exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\n";

sub say_to {
    my ($file, $text) = @_;
    open(my $out, '>', $file) or die "$file: $!\n";
    print $out $text;
    close($out) or die "$file: $!\n";
}
