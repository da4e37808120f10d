# Names that lead out of a function's sandbox, for any client library. There is no network inside but loopback: a resolver on 127.0.0.1:53 gives
# each allowed name a loopback address of its own, and what connects there is carried to the egress proxy by CONNECT. It decides nothing
# (the proxy does, by its own rules) and belongs to the function, which may end it. A process of its own, because a handler that waits for a
# connection may be the whole of its own process; Perl without modules, because every Debian base has it. Numbers are those of Linux on x86_64.
#   argument       path of the egress proxy's socket
#   standard output a line when it listens
#   standard input once, `HOST PORT ...` lines and an empty line; its end ends this program, so it ends with whoever started it
#   standard error a line for the function's log, once for each name or target that is refused
my $SOCKET = shift;
my ($UNIX, $INET, $STREAM, $DGRAM) = (1, 2, 1, 2);
my ($SOL_SOCKET, $REUSEADDR, $LINGER, $TCP, $NODELAY) = (1, 2, 13, 6, 1);
my ($SETFL, $NONBLOCK, $EINTR, $EAGAIN) = (4, 2048, 4, 11);
my ($TYPE_A, $CLASS_IN, $SERVFAIL, $NXDOMAIN, $NOTIMP) = (1, 1, 2, 3, 4);
my ($TTL, $HELD, $HEAD) = (60, 64 * 1024, 16 * 1024);
my ($MOST_NAMES, $MOST_PAIRS, $MOST_LINES) = (1000, 1000, 200);
my $PROXY_PORT = 3128;

my (%ports, @wild, %known, %told, %reads, %writes, %handle);
my ($rin, $win, $pairs, $rules, $asked, $number) = ("", "", 0, "", 0, 0);
$SIG{PIPE} = "IGNORE";

my $resolver = bound($DGRAM, "127.0.0.1", 53) or exit 1;
on_read($resolver, sub { answer_query($resolver) });
my $door = bound($STREAM, "127.0.0.1", $PROXY_PORT) or exit 1;
on_read($door, sub { accept_pair($door, undef) });
on_read(\*STDIN, \&read_rules);
syswrite(STDOUT, "ready\n");
close STDOUT;
while (1) {
    my ($r, $w) = ($rin, $win);
    next if select($r, $w, undef, undef) <= 0;
    # Rules come before questions that were asked later.
    read_rules() if vec($r, 0, 1) and $reads{0};
    for my $fd (keys %writes) { $writes{$fd}->() if vec($w, $fd, 1) and $writes{$fd} }
    for my $fd (keys %reads) { $reads{$fd}->() if $fd and vec($r, $fd, 1) and $reads{$fd} }
}

sub read_rules {
    my $count = sysread(STDIN, $rules, 65536, length $rules);
    return if !defined $count and ($! == $EINTR or $! == $EAGAIN);
    exit 0 if !$count;
    while ($rules =~ s/^([^\n]*)\n//) {
        my ($host, @all) = split / /, $1;
        next if !defined $host;
        if ($host =~ /^\*(.*)$/) { push @wild, [$1, @all] }
        else { $ports{$host}{$_} = 1 for @all }
    }
}

# --- Names

# The ports that rules give a name; none: it is not allowed.
sub ports_of {
    my ($name) = @_;
    my %all = %{ $ports{$name} || {} };
    for my $rule (@wild) {
        my ($suffix, @more) = @$rule;
        next if $suffix eq "" ? $name !~ /\./ : $name !~ /^[^.]+\Q$suffix\E$/;
        $all{$_} = 1 for @more;
    }
    return keys %all;
}

# Its own address, where its ports are listened on from now on; undefined: none could be. An address is never another name's later.
sub address_of {
    my ($name, @all) = @_;
    $known{$name}{asked} = ++$asked and return $known{$name}{ip} if $known{$name};
    forget_oldest() if keys %known >= $MOST_NAMES;
    $number++;
    my $ip = sprintf "127.%d.%d.%d", 1 + ($number >> 16) % 250, ($number >> 8) & 255, $number & 255;
    my @listeners;
    for my $port (@all) {
        my $listener = bound($STREAM, $ip, $port);
        if (!$listener) {
            say_once("$name:$port cannot be reached: something in the function listens on all addresses with port $port.");
            next;
        }
        on_read($listener, sub { accept_pair($listener, "$name:$port") });
        push @listeners, $listener;
    }
    return undef if !@listeners;
    $known{$name} = { ip => $ip, asked => ++$asked, listeners => \@listeners };
    return $ip;
}

# The name that was asked for longest ago; its connections go on.
sub forget_oldest {
    my $oldest;
    for my $name (keys %known) { $oldest = $name if !defined $oldest or $known{$name}{asked} < $known{$oldest}{asked} }
    for my $listener (@{ (delete $known{$oldest})->{listeners} }) { off_read($listener); close $listener }
}

# RFC 1035 section 4. One question; the answer repeats it.
sub answer_query {
    my $peer = recv($resolver, my $query, 512, 0);
    return if !defined $peer or length $query < 17;
    my ($id, $flags, $questions) = unpack "n3", $query;
    return if $flags & 0x8000 or $questions != 1;
    my ($at, @labels) = (12);
    while (my $length = unpack "x${at}C", $query) {
        return if $length > 63 or $at + $length + 5 >= length $query;
        push @labels, substr $query, $at + 1, $length;
        $at += $length + 1;
    }
    my ($type, $class) = unpack "n2", substr $query, $at + 1, 4;
    my ($code, @records) = resolve(lc join(".", @labels), $type, $class);
    my $head = pack "n6", $id, 0x8080 | ($flags & 0x7900) | $code, 1, scalar @records, 0, 0;
    send $resolver, $head . substr($query, 12, $at + 5 - 12) . join("", @records), 0, $peer;
}

sub resolve {
    my ($name, $type, $class) = @_;
    my @all = ports_of($name);
    if (!@all) {
        say_once("$name is not allowed. To allow it, add it to `egress.allow` in fnctl.yaml (`$name`, or with its port if that is not 443).");
        return $NXDOMAIN;
    }
    return $NOTIMP if $class != $CLASS_IN;
    return 0 if $type != $TYPE_A;    # the name exists, and has nothing of this type (RFC 2308 section 2.2)
    my $ip = address_of($name, @all);
    return $SERVFAIL if !$ip;
    return (0, pack("n3Nn", 0xC00C, $TYPE_A, $CLASS_IN, $TTL, 4) . pack("C4", split /\./, $ip));
}

# --- Connections

# `$target` undefined: the client speaks to the proxy itself.
sub accept_pair {
    my ($listener, $target) = @_;
    accept(my $client, $listener) or return;
    return if $pairs >= $MOST_PAIRS;
    socket(my $proxy, $UNIX, $STREAM, 0) or return;
    if (!connect($proxy, pack("Sa*", $UNIX, "$SOCKET\0"))) {
        say_once("the egress proxy takes no connections: $!");
        return reset_client($client);
    }
    fcntl($_, $SETFL, $NONBLOCK) for $client, $proxy;
    setsockopt($client, $TCP, $NODELAY, 1);
    $pairs++;
    my $pair = { ends => [$client, $proxy], held => ["", ""], done => [0, 0] };
    if (!defined $target) {
        pump($pair, $_) for 0, 1;
        return;
    }
    # As long as nothing else was written, so little fits.
    syswrite($proxy, "CONNECT $target HTTP/1.1\r\nhost: $target\r\n\r\n");
    my $answer = "";
    on_read($proxy, sub { read_answer($pair, $target, \$answer) });
}

sub read_answer {
    my ($pair, $target, $answer) = @_;
    my ($client, $proxy) = @{ $pair->{ends} };
    my $count = sysread($proxy, $$answer, $HEAD, length $$answer);
    return if !defined $count and ($! == $EAGAIN or $! == $EINTR);
    my $is_whole = $$answer =~ /\r\n\r\n/;
    if ($is_whole and $$answer =~ m{^HTTP/1\.[01] 2\d\d.*?\r\n\r\n}s) {
        $pair->{held}[1] = substr $$answer, $+[0];
        off_read($proxy);
        pump($pair, $_) for 0, 1;
        return flush_held($pair, 1);
    }
    return if $count and length $$answer < $HEAD;    # the reason is still coming
    my ($why) = $$answer =~ /"detail":"((?:[^"\\]|\\.)*)"/;
    my ($hint) = $$answer =~ /"hint":"((?:[^"\\]|\\.)*)"/;
    say_once(join " ", $why || "$target: no connection to the egress proxy.", $hint || ());
    end_pair($pair);
}

# Carries what end $from says to the other one.
sub pump {
    my ($pair, $from) = @_;
    on_read($pair->{ends}[$from], sub { read_end($pair, $from) });
}
sub read_end {
    my ($pair, $from) = @_;
    my $count = sysread($pair->{ends}[$from], $pair->{held}[$from], 65536, length $pair->{held}[$from]);
    return if !defined $count and ($! == $EAGAIN or $! == $EINTR);
    return end_pair($pair) if !defined $count;
    if ($count == 0) {
        $pair->{done}[$from] = 1;
        off_read($pair->{ends}[$from]);
    }
    flush_held($pair, $from);
}
sub flush_held {
    my ($pair, $from) = @_;
    my $held = \$pair->{held}[$from];
    my ($source, $target) = @{ $pair->{ends} }[$from, 1 - $from];
    if (length $$held) {
        my $count = syswrite($target, $$held);
        return end_pair($pair) if !defined $count and $! != $EAGAIN and $! != $EINTR;
        substr($$held, 0, $count, "") if $count;
    }
    if (length $$held) {
        on_write($target, sub { flush_held($pair, $from) });
        off_read($source) if length $$held >= $HELD;
        return;
    }
    off_write($target);
    return pump($pair, $from) if !$pair->{done}[$from];
    shutdown($target, 1);
    end_pair($pair) if $pair->{done}[1 - $from] and !length $pair->{held}[1 - $from];
}

# The client sees a reset where its connection was not carried to its end.
sub end_pair {
    my ($pair) = @_;
    return if !$pair->{ends};
    my ($client, $proxy) = @{ delete $pair->{ends} };
    for ($client, $proxy) { off_read($_); off_write($_) }
    reset_client($client) if !($pair->{done}[0] and $pair->{done}[1]);
    close $proxy;
    close $client;
    $pairs--;
}
sub reset_client { setsockopt($_[0], $SOL_SOCKET, $LINGER, pack "ii", 1, 0); close $_[0] }

# --- Sockets

sub bound {
    my ($type, $ip, $port) = @_;
    socket(my $socket, $INET, $type, 0) or return undef;
    setsockopt($socket, $SOL_SOCKET, $REUSEADDR, 1) if $type == $STREAM;
    bind($socket, pack("SnC4x8", $INET, $port, split /\./, $ip)) or return undef;
    listen($socket, 128) or return undef if $type == $STREAM;
    fcntl($socket, $SETFL, $NONBLOCK);
    return $socket;
}
sub on_read  { my $fd = fileno $_[0]; $handle{$fd} = $_[0]; $reads{$fd} = $_[1]; vec($rin, $fd, 1) = 1 }
sub on_write { my $fd = fileno $_[0]; $writes{$fd} = $_[1]; vec($win, $fd, 1) = 1 }
sub off_read  { my $fd = fileno $_[0]; delete $reads{$fd}; delete $handle{$fd}; vec($rin, $fd, 1) = 0 }
sub off_write { my $fd = fileno $_[0]; delete $writes{$fd}; vec($win, $fd, 1) = 0 }

sub say_once {
    my ($line) = @_;
    return if keys %told >= $MOST_LINES or $told{$line}++;
    $line =~ s/[^\x20-\x7e]/?/g;
    syswrite(STDERR, "egress: $line\n");
}
