# The DNS cmdlets of an Azure Stack Hub privileged endpoint as functions over the
# HTTP API of a stampdns server. For Windows PowerShell 5.1 and PowerShell 7.

# Whether the user was told that a token goes over the network in the clear.
$script:ToldOfPlainToken = $false

# The URL of the API, without a slash at the end.
function Resolve-StampDnsApi {
    param([string] $StampDnsApi)

    $address = $StampDnsApi
    if (-not $address) { $address = $env:STAMPDNS_API }
    if (-not $address) { $address = 'http://127.0.0.1:8053' }
    if ($address -eq 'off') {
        throw 'STAMPDNS_API is off: give the URL of a server whose API is on, with -StampDnsApi.'
    }
    if ($address -notmatch '://') {
        # HOST:PORT, as the server takes it. All addresses are this machine.
        $address = 'http://' + ($address -replace '^(0\.0\.0\.0|\[::\])?:', '127.0.0.1:')
    }
    $uri = $null
    $valid = [System.Uri]::TryCreate($address, [System.UriKind]::Absolute, [ref] $uri)
    if (-not $valid -or @('http', 'https') -notcontains $uri.Scheme) {
        throw "The API's address '$address' is neither a URL nor HOST:PORT: give -StampDnsApi http://HOST:PORT."
    }
    return $uri.AbsoluteUri.TrimEnd('/') -replace '/api/v1$', ''
}

# The token that the API wants, nothing where none is given.
function Get-StampDnsToken {
    param([string] $Token)

    if ($Token) { return $Token }
    if ($env:STAMPDNS_TOKEN) { return $env:STAMPDNS_TOKEN }
    if ($env:STAMPDNS_API_TOKEN_FILE) {
        $text = Get-Content -LiteralPath $env:STAMPDNS_API_TOKEN_FILE -Raw -ErrorAction Stop
        return "$text".Trim()
    }
    return ''
}

# One call of the API. Its answer is an object; a refusal is an error with the
# server's own words.
function Invoke-StampDnsApi {
    param(
        [string] $Method,
        [string] $Path,
        [object] $Body,
        [string] $StampDnsApi,
        [string] $Token,
        [int] $TimeoutInSecs = 10
    )

    $base = Resolve-StampDnsApi -StampDnsApi $StampDnsApi
    $uri = [System.Uri] $base
    $bearer = Get-StampDnsToken -Token $Token
    $request = @{
        Method             = $Method
        Uri                = $base + '/api/v1' + $Path
        TimeoutSec         = $TimeoutInSecs
        MaximumRedirection = 0
        UseBasicParsing    = $true
        ErrorAction        = 'Stop'
    }
    if ($bearer) {
        $request.Headers = @{ Authorization = "Bearer $bearer" }
        if ($uri.Scheme -eq 'http' -and -not $uri.IsLoopback -and -not $script:ToldOfPlainToken) {
            $script:ToldOfPlainToken = $true
            Write-Warning "The token goes to $($uri.Authority) over plain HTTP, where others can read it."
        }
    }
    if ($Method -ne 'Get') {
        $request.ContentType = 'application/json'
    }
    if ($null -ne $Body) {
        $json = ConvertTo-Json -InputObject $Body -Compress
        $request.Body = [System.Text.Encoding]::UTF8.GetBytes($json)
    }
    if ($PSVersionTable.PSVersion.Major -ge 6) {
        # A proxy is for the world outside, not for this machine. Windows
        # PowerShell knows that by itself.
        if ($uri.IsLoopback) { $request.NoProxy = $true }
    } elseif ([int] [System.Net.ServicePointManager]::SecurityProtocol -ne 0) {
        # Not left to the system, it may be too old for the server.
        $protocols = [System.Net.ServicePointManager]::SecurityProtocol
        [System.Net.ServicePointManager]::SecurityProtocol = $protocols -bor [System.Net.SecurityProtocolType]::Tls12
    }
    try {
        Invoke-RestMethod @request
    } catch {
        throw (Get-StampDnsFailure -Failure $_ -Base $base)
    }
}

# What an error of Invoke-RestMethod means, in a sentence.
function Get-StampDnsFailure {
    param(
        [System.Management.Automation.ErrorRecord] $Failure,
        [string] $Base
    )

    $reason = $Failure.Exception.Message
    $response = $Failure.Exception.Response
    if ($null -eq $response) {
        return "No stampdns answers at ${Base} ($reason): is it running, with its api on? Give -StampDnsApi URL."
    }
    if ([int] $response.StatusCode -eq 401) {
        return "The API at $Base wants a token, or another one: give -Token, or set STAMPDNS_API_TOKEN_FILE."
    }
    if ($Failure.ErrorDetails) {
        try {
            $said = ConvertFrom-Json -InputObject $Failure.ErrorDetails.Message -ErrorAction Stop
            if ($said.error) { return [string] $said.error }
        } catch {
            Write-Debug 'The answer is not JSON.'
        }
    }
    return "${Base}: $reason"
}

# An upstream as one writes it: without a port that is usual.
function Format-StampDnsUpstream {
    param([object] $Upstream)

    $scheme = ''
    $usual = ':53'
    if ($Upstream.transport -eq 'tls') {
        $scheme = 'tls://'
        $usual = ':853'
    }
    $address = [string] $Upstream.address
    if ($address.EndsWith($usual, [System.StringComparison]::Ordinal)) {
        $address = $address.Substring(0, $address.Length - $usual.Length).TrimStart('[').TrimEnd(']')
    }
    return $scheme + $address
}

# The path of a conditional forwarder.
function Get-StampDnsCustomPath {
    param([string] $CustomDomainName)

    $domain = $CustomDomainName.ToLowerInvariant() -replace '\.$', ''
    if (-not $domain) {
        throw "The domain '$CustomDomainName' is all names: whom to ask for those says Set-AzSDnsForwarder."
    }
    return '/custom-dns/' + [System.Uri]::EscapeDataString($domain)
}

# Warns of what is gone when the server ends.
function Write-StampDnsFleeting {
    param([object] $Answer)

    if (-not $Answer.lasts) {
        Write-Warning 'This lasts until the server ends: to keep it, give the server a state file (directive state).'
    }
}

function Register-CustomDnsServer {
    <#
    .SYNOPSIS
    Makes or replaces a conditional forwarder.

    .DESCRIPTION
    Has the server ask the given DNS servers for all names in a domain. It takes
    effect at once. A conditional forwarder of the same domain is replaced.

    .PARAMETER CustomDomainName
    The domain, such as contoso.com.

    .PARAMETER CustomDnsIPAddresses
    The IP addresses of the DNS servers to ask.

    .PARAMETER TimeoutInSecs
    How long to wait for the server's answer, in seconds; 10 if not given.

    .PARAMETER AsJob
    Accepted, as a stamp has it. It has no effect here: the call is short.

    .PARAMETER StampDnsApi
    The server's API: a URL or HOST:PORT. Without it: the environment variable
    STAMPDNS_API, else http://127.0.0.1:8053.

    .PARAMETER Token
    The token that the API wants. Without it: the environment variable
    STAMPDNS_TOKEN, or the file named in STAMPDNS_API_TOKEN_FILE.

    .EXAMPLE
    Register-CustomDnsServer -CustomDomainName "contoso.com" -CustomDnsIPAddresses "192.168.1.1","192.168.1.2"
    #>
    [CmdletBinding(SupportsShouldProcess = $true)]
    param(
        [Parameter(Mandatory = $true, Position = 0)]
        [ValidateNotNullOrEmpty()]
        [string] $CustomDomainName,

        [Parameter(Mandatory = $true, Position = 1)]
        [System.Net.IPAddress[]] $CustomDnsIPAddresses,

        [Parameter(Position = 2)]
        [ValidateRange(1, 2147483647)]
        [int] $TimeoutInSecs = 10,

        [switch] $AsJob,

        [string] $StampDnsApi,

        [string] $Token
    )

    if ($AsJob) { Write-Warning '-AsJob has no effect here: the call has ended when the command does.' }
    $addresses = [string[]] @($CustomDnsIPAddresses | ForEach-Object { $_.ToString() })
    $path = Get-StampDnsCustomPath -CustomDomainName $CustomDomainName
    if ($PSCmdlet.ShouldProcess("${CustomDomainName}: $($addresses -join ', ')")) {
        $answer = Invoke-StampDnsApi -Method Put -Path $path -Body @{ addresses = $addresses } `
            -StampDnsApi $StampDnsApi -Token $Token -TimeoutInSecs $TimeoutInSecs
        Write-StampDnsFleeting -Answer $answer
        if ($answer.shadowed_by) {
            Write-Warning "$CustomDomainName is not forwarded while the server has $($answer.shadowed_by)."
        }
    }
}

function Get-AzSDnsForwarder {
    <#
    .SYNOPSIS
    Gets the DNS forwarders.

    .DESCRIPTION
    Gets the addresses of the DNS forwarders, and who set them: the Corefile, or
    somebody while the server runs. What the object of a stamp looks like is not
    published; these properties are this module's own.

    .PARAMETER StampDnsApi
    The server's API: a URL or HOST:PORT. Without it: the environment variable
    STAMPDNS_API, else http://127.0.0.1:8053.

    .PARAMETER Token
    The token that the API wants. Without it: the environment variable
    STAMPDNS_TOKEN, or the file named in STAMPDNS_API_TOKEN_FILE.

    .EXAMPLE
    Get-AzSDnsForwarder | Format-List
    #>
    [CmdletBinding()]
    param(
        [string] $StampDnsApi,

        [string] $Token
    )

    $answer = Invoke-StampDnsApi -Method Get -Path '/forwarders' -StampDnsApi $StampDnsApi -Token $Token
    [pscustomobject] @{
        IPAddress = [string[]] @($answer.forwarders | ForEach-Object { Format-StampDnsUpstream -Upstream $_ })
        Source    = $answer.source
    }
}

function Set-AzSDnsForwarder {
    <#
    .SYNOPSIS
    Replaces the DNS forwarders.

    .DESCRIPTION
    Replaces the list of DNS forwarders: where the server sends the names that
    neither its zones nor a conditional forwarder have. It takes effect at once.

    .PARAMETER IPAddress
    The IP addresses of the DNS forwarders.

    .PARAMETER StampDnsApi
    The server's API: a URL or HOST:PORT. Without it: the environment variable
    STAMPDNS_API, else http://127.0.0.1:8053.

    .PARAMETER Token
    The token that the API wants. Without it: the environment variable
    STAMPDNS_TOKEN, or the file named in STAMPDNS_API_TOKEN_FILE.

    .EXAMPLE
    Set-AzSDnsForwarder -IPAddress "192.0.2.53","192.0.2.54"
    #>
    [CmdletBinding(SupportsShouldProcess = $true)]
    param(
        [Parameter(Mandatory = $true, Position = 0)]
        [System.Net.IPAddress[]] $IPAddress,

        [string] $StampDnsApi,

        [string] $Token
    )

    $addresses = [string[]] @($IPAddress | ForEach-Object { $_.ToString() })
    if ($PSCmdlet.ShouldProcess($addresses -join ', ')) {
        $answer = Invoke-StampDnsApi -Method Put -Path '/forwarders' -Body @{ addresses = $addresses } `
            -StampDnsApi $StampDnsApi -Token $Token
        Write-StampDnsFleeting -Answer $answer
    }
}

function Get-AzSDnsServerSettings {
    <#
    .SYNOPSIS
    Gets the DNS server settings.

    .DESCRIPTION
    Gets the setting UseRootHint: whether the server asks from the root down when
    no DNS forwarder answers.

    .PARAMETER StampDnsApi
    The server's API: a URL or HOST:PORT. Without it: the environment variable
    STAMPDNS_API, else http://127.0.0.1:8053.

    .PARAMETER Token
    The token that the API wants. Without it: the environment variable
    STAMPDNS_TOKEN, or the file named in STAMPDNS_API_TOKEN_FILE.

    .EXAMPLE
    Get-AzSDnsServerSettings
    #>
    [CmdletBinding()]
    param(
        [string] $StampDnsApi,

        [string] $Token
    )

    $answer = Invoke-StampDnsApi -Method Get -Path '/settings' -StampDnsApi $StampDnsApi -Token $Token
    [pscustomobject] @{ UseRootHint = [bool] $answer.use_root_hint }
}

function Set-AzSDnsServerSettings {
    <#
    .SYNOPSIS
    Changes the DNS server settings.

    .DESCRIPTION
    Changes the setting UseRootHint: whether the server asks from the root down
    when no DNS forwarder answers. It needs a file of root servers for that.

    .PARAMETER UseRootHint
    $true to ask from the root down, $false not to.

    .PARAMETER StampDnsApi
    The server's API: a URL or HOST:PORT. Without it: the environment variable
    STAMPDNS_API, else http://127.0.0.1:8053.

    .PARAMETER Token
    The token that the API wants. Without it: the environment variable
    STAMPDNS_TOKEN, or the file named in STAMPDNS_API_TOKEN_FILE.

    .EXAMPLE
    Set-AzSDnsServerSettings -UseRootHint $false
    #>
    [CmdletBinding(SupportsShouldProcess = $true)]
    param(
        [Parameter(Mandatory = $true, Position = 0)]
        [bool] $UseRootHint,

        [string] $StampDnsApi,

        [string] $Token
    )

    if ($PSCmdlet.ShouldProcess("UseRootHint: $UseRootHint")) {
        $null = Invoke-StampDnsApi -Method Patch -Path '/settings' -Body @{ use_root_hint = $UseRootHint } `
            -StampDnsApi $StampDnsApi -Token $Token
    }
}

function Get-AzureStackStampInformation {
    <#
    .SYNOPSIS
    Gets the stamp information.

    .DESCRIPTION
    Gets what the server knows of the stamp that it stands in for, with the
    properties of AzureStackStampInformation.json. A server without a stamp says so.

    .PARAMETER AsJob
    Accepted, as a stamp has it. It has no effect here: the call is short.

    .PARAMETER StampDnsApi
    The server's API: a URL or HOST:PORT. Without it: the environment variable
    STAMPDNS_API, else http://127.0.0.1:8053.

    .PARAMETER Token
    The token that the API wants. Without it: the environment variable
    STAMPDNS_TOKEN, or the file named in STAMPDNS_API_TOKEN_FILE.

    .EXAMPLE
    Get-AzureStackStampInformation | ConvertTo-Json -Depth 5
    #>
    [CmdletBinding()]
    param(
        [switch] $AsJob,

        [string] $StampDnsApi,

        [string] $Token
    )

    if ($AsJob) { Write-Warning '-AsJob has no effect here: the call has ended when the command does.' }
    Invoke-StampDnsApi -Method Get -Path '/stamp' -StampDnsApi $StampDnsApi -Token $Token
}

function Get-CustomDnsServer {
    <#
    .SYNOPSIS
    Lists the conditional forwarders. A stamp has no such cmdlet.

    .DESCRIPTION
    Lists the conditional forwarders, or the one of a domain, with their addresses
    and who set them. A script that is to run on a stamp, too, must not use this.

    .PARAMETER CustomDomainName
    The domain of the conditional forwarder; all if not given.

    .PARAMETER StampDnsApi
    The server's API: a URL or HOST:PORT. Without it: the environment variable
    STAMPDNS_API, else http://127.0.0.1:8053.

    .PARAMETER Token
    The token that the API wants. Without it: the environment variable
    STAMPDNS_TOKEN, or the file named in STAMPDNS_API_TOKEN_FILE.

    .EXAMPLE
    Get-CustomDnsServer | Format-Table
    #>
    [CmdletBinding()]
    param(
        [Parameter(Position = 0)]
        [string] $CustomDomainName,

        [string] $StampDnsApi,

        [string] $Token
    )

    $answer = Invoke-StampDnsApi -Method Get -Path '/custom-dns' -StampDnsApi $StampDnsApi -Token $Token
    $wanted = $CustomDomainName -replace '\.$', ''
    foreach ($custom in $answer.custom_dns) {
        if ($wanted -and ($custom.domain -replace '\.$', '') -ne $wanted) { continue }
        [pscustomobject] @{
            CustomDomainName     = $custom.domain
            CustomDnsIPAddresses = [string[]] @($custom.forwarders | ForEach-Object { Format-StampDnsUpstream -Upstream $_ })
            Source               = $custom.source
            ShadowedBy           = $custom.shadowed_by
        }
    }
}

function Unregister-CustomDnsServer {
    <#
    .SYNOPSIS
    Removes a conditional forwarder. A stamp has no such cmdlet.

    .DESCRIPTION
    Removes a conditional forwarder that was registered while the server runs. One
    of the server's Corefile stays. A script that is to run on a stamp, too, must
    not use this.

    .PARAMETER CustomDomainName
    The domain of the conditional forwarder.

    .PARAMETER StampDnsApi
    The server's API: a URL or HOST:PORT. Without it: the environment variable
    STAMPDNS_API, else http://127.0.0.1:8053.

    .PARAMETER Token
    The token that the API wants. Without it: the environment variable
    STAMPDNS_TOKEN, or the file named in STAMPDNS_API_TOKEN_FILE.

    .EXAMPLE
    Unregister-CustomDnsServer -CustomDomainName "contoso.com"
    #>
    [CmdletBinding(SupportsShouldProcess = $true)]
    param(
        [Parameter(Mandatory = $true, Position = 0)]
        [ValidateNotNullOrEmpty()]
        [string] $CustomDomainName,

        [string] $StampDnsApi,

        [string] $Token
    )

    $path = Get-StampDnsCustomPath -CustomDomainName $CustomDomainName
    if ($PSCmdlet.ShouldProcess($CustomDomainName)) {
        $null = Invoke-StampDnsApi -Method Delete -Path $path -StampDnsApi $StampDnsApi -Token $Token
    }
}

Export-ModuleMember -Function @(
    'Register-CustomDnsServer'
    'Get-AzSDnsForwarder'
    'Set-AzSDnsForwarder'
    'Get-AzSDnsServerSettings'
    'Set-AzSDnsServerSettings'
    'Get-AzureStackStampInformation'
    'Get-CustomDnsServer'
    'Unregister-CustomDnsServer'
)
