# Connections of names.pl to the egress proxy: by its Unix socket or, in a pod, by TCP, with the credential that the proxy knows the sandbox by and that is
# renewed from time to time.
my ($UNIX, $INET, $INET6, $STREAM) = (1, 2, 10, 1);
my ($SOL_SOCKET, $SO_ERROR, $SETFL, $NONBLOCK) = (1, 4, 4, 2048);
my ($EINTR, $EAGAIN, $EINPROGRESS, $ETIMEDOUT) = (4, 11, 115, 110);
my $HEAD = 16 * 1024;
my $PATIENCE = 5;    # seconds for a connection

my ($proxy_at, $renew_after, $again_after, $credential, $renew_at) = ("", 0, 0, "", 0);
my %opening;

# The arguments of names.pl.
sub way_to {
    ($proxy_at, $renew_after) = ($_[0], $_[1] || 900);
    $again_after = $renew_after < 60 ? $renew_after : 60;    # after an attempt that failed
}

# A little earlier or later, so that sandboxes that began together do not all ask at once.
sub take_credential { ($credential, $renew_at) = ($_[0], time + $renew_after * (0.8 + rand 0.4)) }
sub who { return $credential eq "" ? "" : "proxy-authorization: Bearer $credential\r\n" }

sub renew {
    $renew_at = time + $again_after;
    open_proxy("GET /credential HTTP/1.0\r\n" . who() . "\r\n", sub {
        my ($proxy) = @_;
        return if !$proxy;
        my $text = "";
        on_read($proxy, sub {
            my $count = sysread($proxy, $text, $HEAD, length $text);
            return if !defined $count and ($! == $EAGAIN or $! == $EINTR);
            return if $count and length $text < $HEAD;
            off_read($proxy);
            close $proxy;
            take_credential($1) if $text =~ m{^HTTP/1\.[01] 200 .*?\r\n\r\n([A-Za-z0-9_.-]+)\n$}s;
        });
    });
}

# How long there is nothing to do but what comes.
sub pause { return %opening ? 1 : $renew_at ? ($renew_at > time ? $renew_at - time : 0) : undef }
sub look_at_the_clock {
    my $now = time;
    for my $fd (keys %opening) { $opening{$fd}{give_up}->() if $opening{$fd} and $opening{$fd}{until} <= $now }
    renew() if $renew_at and $renew_at <= $now;
}

# Connects to the proxy, says `$hello`, of which all fits as long as nothing else was written, and calls `$opened` with the connection, or without one.
sub open_proxy {
    my ($hello, $opened) = @_;
    my ($family, $where) = proxy_address();
    socket(my $proxy, $family, $STREAM, 0) or return $opened->();
    fcntl($proxy, $SETFL, $NONBLOCK) if $family != $UNIX;    # a Unix socket waits for its place in the line instead of failing
    my $done = sub {
        my ($error) = @_;
        off_write($proxy);
        delete $opening{ fileno $proxy };
        if ($error) {
            say_once("the egress proxy takes no connections: " . ($! = $error));
            close $proxy;
            return $opened->();
        }
        fcntl($proxy, $SETFL, $NONBLOCK);
        syswrite($proxy, $hello) if length $hello;
        $opened->($proxy);
    };
    return $done->(0) if connect($proxy, $where);
    return $done->($! + 0) if $! != $EINPROGRESS;
    $opening{ fileno $proxy } = { until => time + $PATIENCE, give_up => sub { $done->($ETIMEDOUT) } };
    on_write($proxy, sub { $done->(unpack "i", getsockopt($proxy, $SOL_SOCKET, $SO_ERROR)) });
}
sub proxy_address {
    return ($UNIX, pack("Sa*", $UNIX, "$proxy_at\0")) if $proxy_at =~ m{^/};
    my ($host, $port) = $proxy_at =~ /^\[?([0-9a-f.:]+?)\]?:(\d+)$/ or exit 1;
    return ($INET, pack("SnC4x8", $INET, $port, split /\./, $host)) if $host =~ /\./;
    my ($front, $back) = map { [split /:/] } split /::/, $host, 2;
    my @zeros = (0) x (8 - @$front - @{ $back || [] });
    return ($INET6, pack("SnNn8N", $INET6, $port, 0, (map { hex } @$front, @zeros, @{ $back || [] }), 0));
}

1;
